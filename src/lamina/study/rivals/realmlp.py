"""RealMLP, when pytabkit is installed."""

from __future__ import annotations

from lamina.fold import Fold
from lamina.study.rivals._protocol import Predictor, halton
from lamina.study.rivals._pytabkit import train


class RealMLP:
    """A perceptron with defaults tuned on many tables, at its own size; the validation part chooses the epoch."""

    requires = "pytabkit"
    summary = "RealMLP at its own size, tuned defaults, best epoch"
    paper = (
        "Holzmüller et al. 2024, Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data, "
        "arXiv:2407.04491"
    )

    def settings(self, n: int) -> list[dict]:
        """The tuned defaults first, then a Halton sequence: factor of the learning rate in [1/3, 3] and scale of the
        frequencies of the embeddings in [0.05, 0.5], both log-uniform, dropout in [0, 0.3]."""
        default = {"lr_factor": 1.0, "plr_sigma": 0.1, "p_drop": 0.15}
        return [default] + [
            {
                "lr_factor": float(f"{9**a / 3:.3g}"),
                "plr_sigma": float(f"{0.05 * 10**b:.3g}"),
                "p_drop": float(f"{0.3 * c:.3g}"),
            }
            for a, b, c in halton(n - 1, 3)
        ]

    def fit(self, fold: Fold, setting: dict, seed: int, params: int) -> Predictor:
        """See `Rival.fit`."""
        from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor  # pyright: ignore[reportMissingImports]

        factor, rest = setting["lr_factor"], {k: v for k, v in setting.items() if k != "lr_factor"}
        if not fold.head.classes:
            return train(fold, seed, RealMLP_TD_Regressor, lr=0.2 * factor, **rest)
        # Without label smoothing, since probabilities are what is compared.
        metric = {"val_metric_name": "cross_entropy", "use_ls": False}
        return train(fold, seed, RealMLP_TD_Classifier, lr=0.04 * factor, **metric, **rest)


RIVAL = RealMLP()
