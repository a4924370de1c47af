"""Networks as scikit-learn estimators."""

from lamina.estimators.classifier import NetworkClassifier
from lamina.estimators.regressor import NetworkRegressor

__all__ = ["NetworkClassifier", "NetworkRegressor"]
