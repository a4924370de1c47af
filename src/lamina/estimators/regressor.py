"""The regressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from lamina.estimators.base import NetworkEstimator, widened
from lamina.estimators.inputs import read


class NetworkRegressor(RegressorMixin, NetworkEstimator):
    """A network of the catalogue as a scikit-learn regressor, preprocessing included.

    It is trained on the squared error of the standardised target and predicts one value for a row, the mean of its
    members, within the range of the targets it has seen. All else is as in `NetworkClassifier`, which says what
    columns, weights and missing values become.

    Args:
        network, params, options, learning_rate, weight_decay, dropout, members, steps, batch_size, early_stopping,
            scaling, device, precision, random_state: as for `NetworkClassifier`, with the same defaults.

    Attributes:
        n_features_in_, feature_names_in_, schema_, encoder_, fleet_, module_, n_iter_, loss_curve_, validation_curve_:
            as in `NetworkClassifier`; losses are mean squared errors in units of the target's variance.
        head_: the mean, the standard deviation and the range of the target.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetworkRegressor:
        """Learn to predict a value.

        Args:
            X: (rows, columns) a frame, an array, a sparse matrix or nested lists.
            y: (rows,) numbers.
            sample_weight: (rows,) zero or greater. Default None: 1 for every row.

        Returns:
            The estimator.

        Raises:
            LaminaError: a parameter has no possible value, no column is left to learn from, the budget is too small
                for the network, or every member diverged.
            ValueError: `X`, `y` or `sample_weight` is not as described.
        """
        self._check_parameters()
        frame, y, weight = read(self, X, y, sample_weight, reset=True, dtype=np.float64)
        self._fit(self._start(X, frame, y, weight, classes=0), "regression")
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetworkRegressor:
        """Go on learning, for one pass over these rows, at a constant learning rate and without a validation part.

        The first call, unless `fit` came before, fits the preprocessing and the scale of the target and builds the
        networks, so its rows should look like those to come. Weights count within a call. `steps` and
        `early_stopping` do not matter here.

        Args:
            X, y, sample_weight: as in `fit`.

        Returns:
            The estimator.

        Raises:
            LaminaError: as in `fit`.
            ValueError: as in `fit`, or the columns are not those of the first call.
        """
        self._check_parameters()
        first = not hasattr(self, "fleet_")
        frame, y, weight = read(self, X, y, sample_weight, reset=first, dtype=np.float64)
        rows = self._start(X, frame, y, weight, classes=0) if first else self._gather(frame, y, weight)
        self.head_ = widened(self.head_, rows.y)
        self._pass_over(rows)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The value predicted for each row, (rows,); a category never seen is taken as missing.

        Raises:
            ValueError: the columns are not those of `fit` (missing ones are named), or a cell does not fit its column.
        """
        return self._ask(X)
