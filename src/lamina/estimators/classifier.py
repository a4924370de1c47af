"""The classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from torch import nn

from lamina.errors import LaminaError
from lamina.estimators.base import NetworkEstimator
from lamina.estimators.inputs import read
from lamina.training import Setting


class NetworkClassifier(ClassifierMixin, NetworkEstimator):
    """A network of the catalogue as a scikit-learn classifier, preprocessing included.

    Frames (pandas, polars, pyarrow) may hold numbers, text, truth values, dates and missing values: columns are
    treated as in a study, see `lamina.data.schema.infer_schema`, and ids and constants are left out. Arrays and sparse
    matrices hold numbers, every column of which is used, NaN and infinity for missing ones. The network is trained by
    `lamina.training.train` on the cross-entropy; `predict_proba` averages the members.

    A weight of two and a row that stands twice are the same thing, to the last digit (in a table whose rows stand
    five times and more on average: nearly), and a row of weight zero is as if it were not there. The order of the rows
    does not matter. With an integer `random_state` a fit is repeated exactly, and no global random state is read or
    changed.

    Args:
        network: a name that ``lamina list`` shows, or a class declared as `lamina.create` takes it.
        params: the budget of parameters of one member, see `lamina.create`. Default 20,000, as in a study.
        options: of the network itself, such as ``{"depth": 3}``. Default None: its own defaults.
        learning_rate: its peak in `fit`, its constant value in `partial_fit`. Its default and those of `weight_decay`
            and `dropout` are the ones of `lamina.training.Setting`.
        weight_decay: decoupled, on weight matrices only.
        dropout: the share of hidden features set to zero in training.
        members: how many networks, from different initialisations and with different validation parts, are trained
            side by side as a fleet and averaged. Default 3: as one fleet they take little longer than one, and the
            average is better than its parts and differs less from seed to seed.
        steps: updates at most, in `fit`. Default None: by the number of rows, see `lamina.training.Recipe`.
        batch_size: rows in an update. Default None: by the number of rows, likewise.
        early_stopping: whether each member holds out a fifth of the rows, stops when it gets no better on them, and
            returns to its best weights. Default True. With fewer than ten different rows there is nothing to hold out.
        scaling: of numbers, ``quantile`` or ``standard``, see `lamina.data.scaling`. Default ``quantile``, which
            outliers do not move.
        class_weight: a dict from label to weight, or ``balanced`` for weights inversely proportional to the classes'
            (weighted) frequencies. They multiply `sample_weight`. Default None: 1 for every class.
        device: ``auto``, ``cpu``, ``cuda``, ``mps`` ..., where it is trained. Predictions are made on the CPU.
        precision: ``float32``, or ``bfloat16`` for matrix products.
        random_state: an integer, a `numpy.random.RandomState`, or None for numpy's global one, which then gives the
            seeds of the members and is the one global random state that is used.

    Attributes:
        classes_: (classes,) the labels, sorted.
        n_features_in_, feature_names_in_: the columns of `fit`; the names only if all are texts.
        schema_, encoder_: what each column is, and the fitted preprocessing.
        fleet_, module_: the members; the first of them as an ordinary `torch.nn.Module`.
        n_iter_: updates that were made (of the member that went on for longest).
        loss_curve_, validation_curve_: training and validation loss at each look, the mean of the members that went
            on until then; the second is empty without a validation part.
    """

    classes_: np.ndarray

    def __init__(
        self,
        network: str | type[nn.Module] = "mlp",
        *,
        params: int = 20_000,
        options: dict[str, Any] | None = None,
        learning_rate: float = Setting.learning_rate,
        weight_decay: float = Setting.weight_decay,
        dropout: float = Setting.dropout,
        members: int = 3,
        steps: int | None = None,
        batch_size: int | None = None,
        early_stopping: bool = True,
        scaling: str = "quantile",
        class_weight: dict[Any, float] | str | None = None,
        device: str = "auto",
        precision: str = "float32",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            network,
            params=params,
            options=options,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            dropout=dropout,
            members=members,
            steps=steps,
            batch_size=batch_size,
            early_stopping=early_stopping,
            scaling=scaling,
            device=device,
            precision=precision,
            random_state=random_state,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetworkClassifier:
        """Learn to tell the classes.

        Args:
            X: (rows, columns) a frame, an array, a sparse matrix or nested lists.
            y: (rows,) labels: text, whole numbers or truth values.
            sample_weight: (rows,) zero or greater. Default None: 1 for every row.

        Returns:
            The estimator.

        Raises:
            LaminaError: a parameter has no possible value, there are fewer than two classes, no column is left to
                learn from, the budget is too small for the network, or every member diverged.
            ValueError: `X`, `y` or `sample_weight` is not as described.
        """
        self._check_parameters()
        frame, y, weight = read(self, X, y, sample_weight, reset=True)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise LaminaError(f"y has 1 class, {self.classes_.tolist()[0]!r}; a classifier needs two or more")
        weight = weight * self._class_weights(y, weight)[codes]
        self._fit(self._start(X, frame, codes, weight, len(self.classes_)), "multiclass")
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> NetworkClassifier:
        """Go on learning, for one pass over these rows, at a constant learning rate and without a validation part.

        The first call, unless `fit` came before, fits the preprocessing and builds the networks, so its rows should
        look like those to come; it needs to be told all `classes`. Weights count within a call. `steps` and
        `early_stopping` do not matter here.

        Args:
            X, y, sample_weight: as in `fit`.
            classes: all labels there will be. Needed in the first call only.

        Returns:
            The estimator.

        Raises:
            LaminaError: as in `fit`; or `classes` is lacking, a label is none of them, or `class_weight` is
                ``balanced``, which some rows alone cannot tell.
            ValueError: as in `fit`, or the columns are not those of the first call.
        """
        self._check_parameters()
        if self.class_weight == "balanced":
            raise LaminaError("class_weight='balanced' needs all rows at once; give partial_fit a dict of weights")
        first = not hasattr(self, "fleet_")
        frame, y, weight = read(self, X, y, sample_weight, reset=first)
        check_classification_targets(y)
        if first:
            self.classes_ = _announced(classes)
        elif classes is not None and not np.array_equal(_announced(classes), self.classes_):
            raise LaminaError(f"classes={classes!r}: they were {self.classes_.tolist()} in the first call")
        strange = np.setdiff1d(y, self.classes_)
        if len(strange):
            raise LaminaError(f"y holds the class {strange.tolist()[0]!r}, which is none of {self.classes_.tolist()}")
        codes = np.searchsorted(self.classes_, y)
        weight = weight * self._class_weights(y, weight)[codes]
        rows = self._start(X, frame, codes, weight, len(self.classes_)) if first else self._gather(frame, codes, weight)
        self._pass_over(rows)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, (rows,).

        Raises:
            ValueError: the columns are not those of `fit` (missing ones are named), or a cell does not fit its column.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities, (rows, classes), in the order of ``classes_``; a value never seen is taken as missing.

        Raises:
            ValueError: as in `predict`.
        """
        return self._ask(X)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithm of `predict_proba`."""
        return np.log(self.predict_proba(X))

    def _class_weights(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """(classes,) what the weights of the rows are multiplied by."""
        found = compute_class_weight(self.class_weight, classes=self.classes_, y=y, sample_weight=weight)
        if not (found > 0).all():
            raise LaminaError(f"class_weight={self.class_weight!r}: every weight has to be above 0")
        return found


def _announced(classes: Any) -> np.ndarray:
    """The labels that `partial_fit` was told, sorted."""
    if classes is None:
        raise LaminaError("the first call of partial_fit needs classes=, all labels there will be")
    classes = np.unique(column_or_1d(classes))
    if len(classes) < 2:
        raise LaminaError(f"classes={classes.tolist()}: a classifier needs two or more classes")
    return classes
