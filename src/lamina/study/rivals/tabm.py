"""TabM, when pytabkit is installed."""

from __future__ import annotations

from lamina.fold import Fold
from lamina.study.rivals._protocol import Predictor, halton
from lamina.study.rivals._pytabkit import train


class TabM:
    """32 perceptrons that share most of their weights, at its own size; the validation part stops the training."""

    requires = "pytabkit"
    summary = "TabM at its own size, early stopping"
    paper = (
        "Gorishniy et al. 2025, TabM: Advancing Tabular Deep Learning with Parameter-Efficient Ensembling, "
        "arXiv:2410.24210"
    )

    def settings(self, n: int) -> list[dict]:
        """Pytabkit's defaults first, then a Halton sequence: learning rate in [5e-4, 5e-3] and weight decay in
        [1e-4, 1e-1], both log-uniform, dropout in [0, 0.5]; half of them with piecewise linear embeddings."""
        default = {"lr": 2e-3, "weight_decay": 0.0, "dropout": 0.1, "num_emb_type": "none"}
        return [default] + [
            {
                "lr": float(f"{5e-4 * 10**a:.3g}"),
                "weight_decay": float(f"{1e-4 * 1e3**b:.3g}"),
                "dropout": float(f"{0.5 * c:.3g}"),
                "num_emb_type": "pwl" if d < 0.5 else "none",
            }
            for a, b, c, d in halton(n - 1, 4)
        ]

    def fit(self, fold: Fold, setting: dict, seed: int, params: int) -> Predictor:
        """See `Rival.fit`."""
        from pytabkit import TabM_D_Classifier, TabM_D_Regressor  # pyright: ignore[reportMissingImports]

        return train(
            fold,
            seed,
            TabM_D_Classifier if fold.head.classes else TabM_D_Regressor,
            **setting,
            num_emb_n_bins=min(48, len(fold.inner[seed][0]) - 1),
            val_metric_name="cross_entropy" if fold.head.classes else "rmse",
        )


RIVAL = TabM()
