"""Checks of what a system says: its facts, documentation, ``repr`` and errors."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from lamina.errors import LaminaError
from lamina.testing.subject import IN, Subject, require

REFERENCE = re.compile(r"arXiv:(\d{4}\.\d{4,5})|doi:(10\.\S+?)(?=[;,\s]|$)")


def check_facts(subject: Subject) -> None:
    """The summary is one short line; every paper has a year and an arXiv id or DOI, also in the docstring."""
    system, text = subject.system, inspect.getdoc(subject.cls) or ""
    require(0 < len(system.summary) <= 80, f"the summary has {len(system.summary)} characters, not 1 to 80")
    one_line = "\n" not in system.summary and not system.summary.endswith(".")
    require(one_line, "the summary is not one line without a full stop")
    for paper in filter(None, system.paper.split("; ")):
        found = REFERENCE.search(paper)
        require(re.search(r"\b(19|20)\d\d\b", paper), f"no year in {paper!r}")
        require(found, f"neither arXiv id nor DOI in {paper!r}")
        require(found and found.group() in text, f"{paper!r} is not a source in the docstring")


def check_docstring(subject: Subject) -> None:
    """A first line, every argument with its default, and the sections Shape, Raises and Source."""
    text = subject.cls.__doc__
    require(text, "there is no docstring")
    lines = inspect.cleandoc(text or "").splitlines()
    require(re.search(r"[.:]$", lines[0]), f"the first line {lines[0]!r} has no full stop or colon at its end")
    require(len(lines) > 1 and not lines[1], "the first line is not followed by an empty one")
    arguments = "\n".join(_section(lines, "Args"))
    for name, parameter in subject.options().items():
        found = re.search(rf"^(?:\w+, )*{name}(?:, \w+)*: ((?:.|\n(?=  ))*)", arguments, re.MULTILINE)
        entry = found.group() if found else ""
        require(entry, f"argument {name} is not in the section Args")
        told = parameter.default is inspect.Parameter.empty or "Default" in entry
        require(told, f"the default of {name} is not in the section Args")
    for title in ("Shape", "Raises", *(["Source"] if subject.system.paper else [])):
        require(_section(lines, title), f"there is no section {title}")


def _section(lines: list[str], title: str) -> list[str]:
    """The lines under ``title:``, without their common indentation."""
    if f"{title}:" not in lines:
        return []
    rest = lines[lines.index(f"{title}:") + 1 :]
    end = next((i for i, line in enumerate(rest) if line and not line.startswith(" ")), len(rest))
    return inspect.cleandoc("\n" + "\n".join(rest[:end])).splitlines()


def check_repr(subject: Subject) -> None:
    """`repr` has all arguments with their values: an instance made from them has the same `repr`."""
    module = subject.make()
    text = module.extra_repr()
    try:
        arguments = eval(f"dict({text})", {})
    except Exception as error:
        raise AssertionError(f"extra_repr gives {text!r}, which are not arguments: {error}") from error
    missing = set(subject.options()) - set(arguments)
    require(not missing, f"repr lacks the arguments {', '.join(sorted(missing))}")
    require(repr(subject.cls(**arguments)) == repr(module), f"an instance made from {text!r} has another repr")
    defaults = {name: p.default for name, p in subject.options().items() if p.default is not None}
    for name, value in {**defaults, **subject.arguments()}.items():
        require(arguments[name] == value, f"repr has {name}={arguments[name]!r}, though it is {value!r}")


def check_bad_arguments(subject: Subject) -> None:
    """Every bad size, rate or name is refused with a `LaminaError` that names the argument."""
    bad: list[tuple[str, Any]] = [(n, v) for n in ("in_features", "out_features") for v in (0, -1, 2.5)]
    if not subject.is_layer:
        bad += [("width", 0), ("width", -3), ("dropout", 1.5), ("dropout", -0.1)]
    bad += [("tokens", 0), ("tokens", 1.5)] if "tokens" in subject.options() else []
    for name, parameter in subject.options().items():
        if type(parameter.default) in _WRONG:
            bad.append((name, _WRONG[type(parameter.default)]))
    for name, value in bad:
        _refused(lambda n=name, v=value: subject.cls(**subject.arguments(**{n: v})), f"{name}={value!r}", name)


_WRONG: dict[type, Any] = {int: -1, float: -1.0, str: "no such thing"}


def check_bad_input(subject: Subject) -> None:
    """An input with another last dimension is refused with a `LaminaError` that has both sizes."""
    module = subject.make()
    _refused(
        lambda: module(subject.rows(2, last=IN + 1)), f"an input whose last dimension is {IN + 1}", str(IN), str(IN + 1)
    )


def _refused(call: Callable[[], object], what: str, *names: str) -> None:
    try:
        call()
    except LaminaError as error:
        for name in names:
            require(name in str(error), f"the error for {what} does not say {name}: {error}")
        require("\n" not in str(error), f"the error for {what} has more than one line: {error}")
    except Exception as error:
        raise AssertionError(f"{what} raises {type(error).__name__}, not LaminaError: {error}") from error
    else:
        raise AssertionError(f"{what} is accepted")
