"""The data sets that come with scikit-learn, by name: real, small, and there without a download."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Bundled:
    """The facts of one bundled data set, as literals, so that listing them imports nothing.

    Attributes:
        name: what the user types.
        rows, features: its size, the target not counted.
        task: ``binary``, ``multiclass`` or ``regression``.
        target: the name of the target column.
        summary: what is measured and predicted, in a few words.
        loader: the name of scikit-learn's function for it.
    """

    name: str
    rows: int
    features: int
    task: str
    target: str
    summary: str
    loader: str

    def load(self) -> pl.DataFrame:
        """The features and, as the last column, the target with its labels in words where it has them."""
        import polars as pl
        from sklearn import datasets

        # Diabetes comes standardised unless asked otherwise; the units say more to a reader of the report.
        options = {"scaled": False} if self.loader == "load_diabetes" else {}
        bunch = getattr(datasets, self.loader)(**options)
        labels = bunch.get("target_names") if self.task != "regression" else None
        names = [str(name) for name in bunch.feature_names]
        frame = pl.DataFrame({n: bunch.data[:, i] for i, n in enumerate(names)})
        target = bunch.target if labels is None else [labels[code].item() for code in bunch.target]
        return frame.with_columns(pl.Series(self.target, target))


BUNDLED: Mapping[str, Bundled] = MappingProxyType(
    {
        b.name: b
        for b in (
            Bundled(
                name="breast-cancer",
                rows=569,
                features=30,
                task="binary",
                target="diagnosis",
                summary="malignant or benign, from measurements of cell nuclei",
                loader="load_breast_cancer",
            ),
            Bundled(
                name="wine",
                rows=178,
                features=13,
                task="multiclass",
                target="cultivar",
                summary="which of three cultivars, from a chemical analysis of the wine",
                loader="load_wine",
            ),
            Bundled(
                name="iris",
                rows=150,
                features=4,
                task="multiclass",
                target="species",
                summary="which of three species, from the lengths and widths of sepals and petals",
                loader="load_iris",
            ),
            Bundled(
                name="digits",
                rows=1797,
                features=64,
                task="multiclass",
                target="digit",
                summary="which digit was written, from an image of 8 by 8 pixels",
                loader="load_digits",
            ),
            Bundled(
                name="diabetes",
                rows=442,
                features=10,
                task="regression",
                target="progression",
                summary="progression of the disease after a year, from ten measurements of a patient",
                loader="load_diabetes",
            ),
        )
    }
)
