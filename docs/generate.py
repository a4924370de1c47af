"""Write the reference pages, docs/reference, from what the systems and the public names say of themselves, and the page
of the claims from the evidence."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

from latex2mathml.converter import convert

import lamina
from lamina import networks
from lamina.catalog import System, systems, table_networks
from lamina.evidence import collected, find, names
from lamina.evidence.page import cited, write_markdown

FOLDER = Path(__file__).parent / "reference"
EVIDENCE = Path(__file__).parents[1] / "evidence"
SIZE = {"in_features": 10, "out_features": 1, "params": 20_000}
SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Shape|Source|Example|Examples|Note):$")
FIELDS = (property, cached_property)
LISTED = ("Args", "Attributes", "Raises")


class _Bare(str):
    """An annotation that is shown without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def mathml(formula: str, *, block: bool = False) -> str:
    """A LaTeX formula as MathML, which browsers draw without a script."""
    text = convert(
        re.sub(r"\\math(rm|bf)\b", r"\\text", " ".join(formula.split())),
        display="block" if block else "inline",
    )
    text = text.replace("*", "&#42;").replace("_", "&#95;")
    return f"\n<div>{text}</div>\n" if block else text


def prose(text: str) -> str:
    """A docstring's running text as Markdown: formulas drawn, literals in single backquotes."""
    text = re.sub(
        r"^\.\. math::[ \n](.*?)(?=\n\n|\n\S|\Z)", lambda m: mathml(m[1], block=True), text, flags=re.M | re.S
    )
    text = re.sub(r":math:`([^`]+)`", lambda m: mathml(m[1]), text)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    return re.sub(r"::$", ":", text, flags=re.M)


def entries(body: str) -> Iterator[str]:
    """The ``name: text`` entries of a section as a Markdown list."""
    for entry in re.split(r"\n(?=\S)", body.strip("\n")):
        name, colon, text = entry.partition(": ")
        yield f"- **{name}**: {prose(inspect.cleandoc(text))}" if colon else prose(entry)


def sections(doc: str) -> Iterator[tuple[str, str]]:
    """The titles and dedented bodies of a docstring; the text before the first section has no title."""
    title, lines = "", []
    for line in [*doc.splitlines(), "End:"]:
        found = SECTION.match(line)
        if found or line == "End:":
            yield title, inspect.cleandoc("\n" + "\n".join(lines))
            title, lines = found[1] if found else "", []
        else:
            lines.append(line)


def docstring(thing: Any) -> str:
    """The docstring of a class or function as Markdown."""
    parts = []
    for title, body in sections(inspect.getdoc(thing) or ""):
        text = "\n".join(entries(body)) if title in LISTED else prose(body)
        parts += [f"**{title}**\n" if title else "", text, ""]
    return "\n".join(parts).strip() + "\n"


def signature(thing: Any, name: str) -> str:
    """How `thing` is called, one argument a line where one line is too long."""
    found = inspect.signature(thing)
    arguments, bare = [], True
    for p in found.parameters.values():
        if p.name == "self":
            continue
        if p.kind is p.KEYWORD_ONLY and bare:
            arguments.append("*")
        bare = bare and p.kind not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        shown = p if p.annotation is p.empty else p.replace(annotation=_Bare(p.annotation))
        arguments.append(str(shown))
    result = "" if found.return_annotation in (found.empty, None, "None") else f" -> {found.return_annotation}"
    line = f"{name}({', '.join(arguments)}){result}"
    if len(line) > 88:
        line = f"{name}(\n" + "".join(f"    {a},\n" for a in arguments) + f"){result}"
    return f"```python\n{line}\n```\n"


def size(system: System) -> str:
    """What the default budget buys, for a network for tables."""
    network = networks.create(system.name, **SIZE)
    params, flops = networks.count_params(network), networks.flops(network, SIZE["in_features"])
    asked = "{in_features} inputs, {out_features} output and a budget of {params:,} parameters".format(**SIZE)
    return f"- For {asked}: {params:,} parameters, {flops:,} operations a row"


def system_page(system: System) -> str:
    """The page of one system."""
    facts = [
        f"# {system.name}\n",
        f"{system.summary[:1].upper()}{system.summary[1:]}.\n",
        f"- Kind: {system.kind}, domain: {system.domain}",
        f"- Paper: {cited(system.paper)}",
        f"- Python: `{system.module}.{system.qualname}`",
    ]
    if system.name in table_networks():
        facts.append(size(system))
    if system.name in names():
        facts.append(f"- Claim: {find(system.name).says} [Does it hold?](../../claims.md#{system.name})")
    call = signature(system.load(), system.qualname)
    return "\n".join([*facts, "", call, docstring(system.load())])


def overview(found: Iterable[System]) -> str:
    """All systems in one table."""
    rows = [
        f"| [{s.name}](systems/{s.name}.md) | {s.kind} | {s.domain} | {s.summary} | {cited(s.paper)} |" for s in found
    ]
    head = "| name | kind | domain | what it is | paper |\n| --- | --- | --- | --- | --- |"
    note = "Layers are drop-in modules, and networks at once: any of them stacks."
    return (
        f"# Systems\n\n{note} `lamina list` prints this table, `lamina show NAME` one page of it.\n\n{head}\n"
        + "\n".join(rows)
        + "\n"
    )


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class defines and documents itself."""
    for name, value in vars(cls).items():
        documented = isinstance(value, FIELDS) or callable(getattr(value, "__func__", value))
        if not name.startswith("_") and documented and inspect.getdoc(value):
            yield name, value


def python_page() -> str:
    """The public names of ``lamina``."""
    parts = ["# Python\n"]
    for name in lamina.__all__:
        thing = getattr(lamina, name)
        if name.startswith("_"):
            continue
        parts.append(f"## lamina.{name}\n")
        if inspect.ismodule(thing):
            parts.append(prose(inspect.getdoc(thing) or "") + "\n")
            continue
        raised = inspect.isclass(thing) and issubclass(thing, Exception)
        parts += ["" if raised else signature(thing, name), docstring(thing)]
        for member, value in members(thing) if inspect.isclass(thing) else ():
            call = "" if isinstance(value, FIELDS) else signature(getattr(thing, member), member)
            parts += [f"### {name}.{member}\n", call, docstring(value)]
    return "\n".join(parts)


def printed(function: Callable[[list[str]], Any], arguments: list[str]) -> str:
    """What the command line prints for these arguments."""
    out = io.StringIO()
    with (
        mock.patch.dict(os.environ, COLUMNS="100", NO_COLOR="1", TERM="dumb"),
        contextlib.redirect_stdout(out),
        contextlib.suppress(SystemExit),
    ):
        function(arguments)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def cli_page() -> str:
    """The help of every command."""
    from lamina.cli import app, main

    parts = ["# Command line\n", f"```text\n{printed(main, ['--help'])}\n```\n"]
    for command in sorted(name for name in app if not name.startswith("-")):
        parts.append(f"## lamina {command}\n\n```text\n{printed(main, [command, '--help'])}\n```\n")
    return "\n".join(parts)


def main() -> None:
    """Write all pages; those of systems that are gone go."""
    found = systems().values()
    pages = {f"systems/{s.name}.md": system_page(s) for s in found}
    pages |= {"index.md": overview(found), "python.md": python_page(), "cli.md": cli_page()}
    (FOLDER / "systems").mkdir(parents=True, exist_ok=True)
    for stale in set(FOLDER.rglob("*.md")) - {FOLDER / name for name in pages}:
        stale.unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    write_markdown(collected(EVIDENCE), FOLDER.parent)
    print(f"{len(pages)} pages in {FOLDER.name}/", file=sys.stderr)


if __name__ == "__main__":
    main()
