"""What a study was asked: everything that its numbers depend on."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lamina.errors import LaminaError
from lamina.files import write_text

FILE = "study.toml"
COMPILE = {"auto": None, "on": True, "off": False}


@dataclass(frozen=True)
class Job:
    """What is claimed, computed and stored as a whole: one network or rival on one split."""

    system: str
    split: int


@dataclass(frozen=True)
class Question:
    """The question of a study.

    Attributes:
        data, target, task, metric, rows: what is compared on; `rows` after those without a target were dropped.
        fingerprint: of the data, so that a study is not resumed on others.
        networks, rivals, rules: names.
        params: the budget of parameters of each network.
        splits, seeds, settings: how many of each.
        steps: updates of a training at most; 0 where the number of rows decides.
        source: the file or the data set that was named, empty for a frame; the fingerprint says whether it is the same.
        ignore, quick: as asked.
        compile: whether training steps are compiled: ``on``, ``off``, or ``auto`` where that is expected to pay.
        racing: whether a network's settings that fall behind are stopped early; rivals' settings do not race.
    """

    data: str
    target: str
    task: str
    metric: str
    rows: int
    fingerprint: str
    networks: tuple[str, ...]
    rivals: tuple[str, ...]
    rules: tuple[str, ...]
    params: int
    splits: int
    seeds: int
    settings: int
    steps: int = 0
    source: str = field(default="", compare=False)
    ignore: tuple[str, ...] = ()
    quick: bool = False
    racing: bool = False
    compile: str = "auto"

    def jobs(self) -> Iterator[Job]:
        """All jobs, split by split, so that a study that runs out of time has whole splits."""
        for split in range(self.splits):
            for system in (*self.rivals, *self.networks):
                yield Job(system, split)

    def write(self, folder: Path) -> None:
        """Write ``study.toml``."""
        lines = [f"{key} = {_toml(value)}\n" for key, value in asdict(self).items()]
        write_text(folder / FILE, "".join(lines))

    @classmethod
    def read(cls, folder: Path) -> Question:
        """Read ``study.toml``.

        Raises:
            LaminaError: the folder holds no study, or the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            raise LaminaError(f"{str(folder)!r} holds no study: {FILE} is missing")
        try:
            values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
            listed: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            return cls(**listed)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
            raise LaminaError(f"{str(path)!r} is damaged: {error}") from error

    def require_same(self, other: Question, folder: Path) -> None:
        """Refuse to go on with a study that was asked something else.

        Raises:
            LaminaError: names each field that differs, what the study has and what is asked now.
        """
        different = [
            f"{f.name} is {getattr(other, f.name)!r} there and {getattr(self, f.name)!r} now"
            for f in fields(self)
            if f.compare and getattr(self, f.name) != getattr(other, f.name)
        ]
        if different:
            raise LaminaError(f"the study in {str(folder)!r} was asked something else: {'; '.join(different)}")


def _toml(value: str | int | tuple[str, ...]) -> str:
    """A value in TOML: as in JSON but for one control character that JSON leaves bare."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
