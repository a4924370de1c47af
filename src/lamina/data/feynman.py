"""Formulas of physics as tables: rows drawn from the ranges of their variables."""

from __future__ import annotations

import ast
import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from lamina.data.local import local
from lamina.errors import LaminaError, unknown

if TYPE_CHECKING:
    import polars as pl

PREFIX = "feynman:"
ROWS = 5_000
_FILE = "feynman/FeynmanEquations.csv"
_FUNCTIONS = {
    "exp": np.exp,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "ln": np.log,
    "arcsin": np.arcsin,
    "arccos": np.arccos,
    "pi": np.pi,
}
_ALLOWED = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Load, ast.Constant,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.USub, ast.UAdd,
)  # fmt: skip


@dataclass(frozen=True)
class Formula:
    """A formula of the Feynman lectures.

    Attributes:
        name: such as ``I.6.2a``.
        output: what it gives.
        text: the formula, in arithmetic and the functions of numpy (``ln`` is the natural logarithm).
        ranges: of each variable, the least and the largest value.
    """

    name: str
    output: str
    text: str
    ranges: Mapping[str, tuple[float, float]]

    def evaluate(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The formula at the given values of its variables.

        Raises:
            LaminaError: the text is anything but arithmetic of its variables.
        """
        try:
            tree = ast.parse(self.text.strip().replace("^", "**"), mode="eval")
        except SyntaxError as error:
            raise LaminaError(f"formula {self.name!r} cannot be read: {self.text!r}") from error
        known = {**_FUNCTIONS, **columns}
        for node in ast.walk(tree):  # the file comes from elsewhere: nothing but arithmetic is run
            if not isinstance(node, _ALLOWED) or (isinstance(node, ast.Name) and node.id not in known):
                raise LaminaError(f"formula {self.name!r} has more than arithmetic of its variables: {self.text!r}")
        return np.asarray(eval(compile(tree, self.name, "eval"), {"__builtins__": {}}, known), dtype=float)

    @property
    def target(self) -> str:
        """The name of the column that the formula gives."""
        return self.output if self.output not in self.ranges else f"{self.output}_out"

    def load(self) -> pl.DataFrame:
        """The table that stands for the formula as a data set."""
        return self.sample()

    def sample(self, rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
        """A table of the variables, drawn evenly from their ranges, and of the output as its last column."""
        import polars as pl

        rng = np.random.default_rng(seed)
        columns = {name: rng.uniform(low, high, rows) for name, (low, high) in self.ranges.items()}
        return pl.DataFrame({**columns, self.target: self.evaluate(columns)})


@cache
def formulas() -> dict[str, Formula]:
    """The 100 formulas of ``feynman/FeynmanEquations.csv`` in the folder that ``LAMINA_DATA`` names.

    Raises:
        LaminaError: the folder or the file is not there.

    Source:
        Udrescu and Tegmark 2020, AI Feynman: a physics-inspired method for symbolic regression, arXiv:1905.11481.
    """
    with local(_FILE).open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Filename"]]
    return {row["Filename"]: _formula(row) for row in rows}


def _formula(row: dict[str, str]) -> Formula:
    # the column that counts the variables is wrong in some rows
    numbers = [i for i in range(1, 11) if row.get(f"v{i}_name")]
    ranges = {row[f"v{i}_name"]: (float(row[f"v{i}_low"]), float(row[f"v{i}_high"])) for i in numbers}
    return Formula(row["Filename"], row["Output"], row["Formula"], ranges)


def feynman(name: str) -> Formula:
    """The formula called `name`; an unknown one is answered with the closest."""
    known = formulas()
    if name not in known:
        raise unknown("formula", name, known)
    return known[name]
