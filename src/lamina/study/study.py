"""A study that was run: its verdict, its leaderboard, its report and its best model."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from lamina.data.task import Task
from lamina.errors import LaminaError
from lamina.files import write_json
from lamina.model import Model, fit_model
from lamina.study.leaderboard import leaderboard
from lamina.study.verdict import Pair, Verdict
from lamina.training import Recipe, Setting

SUMMARY, MODEL, REPORT = "summary.json", "model", "report.html"


@dataclass(frozen=True)
class Study:
    """The result of `lamina.compare`.

    Attributes:
        folder: where it is on disk.
        summary: everything that was found, as in ``summary.json``.
        task: what was compared on; None for a study that was opened from its folder.
        device: where to train the best model.
    """

    folder: Path
    summary: dict[str, Any]
    task: Task | None = None
    device: str = "auto"

    @classmethod
    def open(cls, folder: str | Path) -> Study:
        """The study in a folder.

        Raises:
            LaminaError: the folder holds no finished study, or its summary is damaged.
        """
        path = Path(folder) / SUMMARY
        if not path.is_file():
            raise LaminaError(f"{str(folder)!r} holds no finished study: {SUMMARY} is missing")
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise LaminaError(f"{str(path)!r} is damaged: {error}") from error
        lacking = {"data", "metric", "networks", "rivals", "verdict"}.difference(summary)
        if not isinstance(summary, dict) or lacking:
            raise LaminaError(f"{str(path)!r} is damaged: it is no summary of a study")
        return cls(Path(folder), summary)

    @cached_property
    def verdict(self) -> Verdict:
        """What the statistics say; its ``sentence`` says it in words."""
        facts = self.summary["verdict"]
        pairs = tuple(Pair(**pair) for pair in facts["pairs"])
        return Verdict(**{**facts, "pairs": pairs, "warnings": tuple(facts["warnings"])})

    def leaderboard(self) -> pl.DataFrame:
        """One row per network and rival, the best first: score with its interval, cost, setting."""
        rows = leaderboard(self.summary)
        return pl.DataFrame(
            {
                "name": [r.name for r in rows],
                "kind": ["rival" if r.rival else "network" for r in rows],
                self.summary["metric"]: [r.mean for r in rows],
                "low": [r.low for r in rows],
                "high": [r.high for r in rows],
                "ensemble": [r.ensemble for r in rows],
                "params": [r.params for r in rows],
                "flops": [r.flops for r in rows],
                "fit_seconds": [r.seconds for r in rows],
                "diverged": [r.diverged for r in rows],
            },
            schema_overrides={"low": pl.Float64, "high": pl.Float64, "params": pl.Int64, "flops": pl.Int64},
        )

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report, one HTML file, and return its path (``report.html`` in the study's folder by default)."""
        from lamina.study.report import write_report

        return write_report(self.summary, Path(path) if path else self.folder / REPORT)

    @property
    def _winner(self) -> dict[str, Any]:
        network = self.summary["verdict"]["network"]
        return next(row for row in self.summary["networks"] if row["name"] == network)

    @cached_property
    def best(self) -> Model:
        """The best network with the setting chosen most often, trained on all rows that were compared on; kept in the
        study's folder, and trained again when the study has come to another one since.

        Where the verdict's `best` is a rival, this is the best network still.

        Raises:
            LaminaError: the study was opened from a folder that holds no such model.
        """
        return self.kept() or self.fit_best()

    def kept(self) -> Model | None:
        """The model of the best network that is in the study's folder, if there is one."""
        folder = self.folder / MODEL
        if not (folder / "model.json").is_file():
            return None
        model = Model.load(folder, self.device)
        same = model.blueprint.network == self._winner["name"] and model.about["setting"] == self._winner["setting"]
        return model if same else None

    def fit_best(self, memory: float | str | None = None, deadline: float = math.inf) -> Model:
        """Train `best` anew and keep it in the study's folder.

        Args:
            memory: bytes (or a text such as ``2GB``) that this process may take in all.
            deadline: the `time.monotonic()` at which to be content with the best weights so far.

        Raises:
            LaminaError: the study was opened from a folder, or the limits are too narrow.
        """
        if self.task is None:
            raise LaminaError(
                f"{str(self.folder)!r} holds no model of its best network; run the comparison again with --resume"
            )
        model = fit_model(
            self.task,
            self._winner["name"],
            settings=[Setting(**self._winner["setting"])],
            params=self.summary["params"],
            seeds=self.summary["seeds"],
            recipe=Recipe(steps=self.summary["steps"]),
            device=self.device,
            memory=memory,
            deadline=deadline,
        )
        model.save(self.folder / MODEL)
        return model

    def write_summary(self) -> None:
        """Write ``summary.json``."""
        write_json(self.folder / SUMMARY, self.summary)
