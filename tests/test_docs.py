"""The documentation: what it shows runs, what it links to exists, what is generated is complete."""

from __future__ import annotations

import doctest
import importlib.util
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from lamina.catalog import systems

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    title: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    fences = re.finditer(r'^```(\w+)(?: title="(.+?)")?\n(.*?)^```$', text, flags=re.M | re.S)
    return [Block(m[1], m[2] or "", m[3], text[: m.start()].count("\n") + 1) for m in fences]


def commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that the page shows for it."""
    parts = re.split(r"^\$ ", block.text, flags=re.M)[1:]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def run_console(block: Block, folder: Path) -> None:
    """Run the commands of a block; each has to succeed and print what the page shows (`...` is anything)."""
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": scripts + os.pathsep + os.environ["PATH"], "PYTHONPATH": str(folder)}
    environment |= {"NO_COLOR": "1", "COLUMNS": "200"}
    for command, shown in commands(block):
        ran = subprocess.run(shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, f"line {block.line}: {command}\n{ran.stdout}{ran.stderr}"
        matched = doctest.OutputChecker().check_output(shown, ran.stdout, doctest.ELLIPSIS)
        assert matched or not shown, f"line {block.line}: {command}\n{ran.stdout}"


def test_tutorial_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    for block in blocks(DOCS / "tutorial.md"):
        if block.language == "python":
            source = "\n" * block.line + block.text
            exec(compile(source, "docs/tutorial.md", "exec"), namespace)
        elif block.language == "console":
            run_console(block, tmp_path)
    made = {
        "iris-study/report.html",
        "iris-study/summary.json",
        "diabetes-study/model/model.json",
        "report.html",
    }
    assert [name for name in made | {"predictions.csv"} if not (tmp_path / name).is_file()] == []


def test_the_page_on_formulas_finds_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    for block in blocks(DOCS / "kan.md"):
        if block.language == "python":
            exec(compile("\n" * block.line + block.text, "docs/kan.md", "exec"), namespace)
    assert namespace["formula"].rmse < 0.02
    assert (tmp_path / "network.html").is_file()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of the page "Add a system", as an installer would leave it."""
    folder = tmp_path_factory.mktemp("add-a-system")
    page = DOCS / "add-a-system.md"
    for block in blocks(page):
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text)
    (project,) = (b.text for b in blocks(page) if b.language == "toml")
    group, point = re.findall(r'entry-points\."(.+?)"\]\n(.+)', project)[0]
    info = folder / "mylayers-0.1.0.dist-info"
    info.mkdir()
    (folder / "mylayers" / "__init__.py").touch()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mylayers\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{point.replace(chr(34), '')}\n")
    return folder


def test_skeletons_pass_the_conformance_kit(package):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", package, package]
    environment = os.environ | {"PYTHONPATH": str(package)}
    ran = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert int(re.findall(r"(\d+) passed", ran.stdout)[-1]) >= 20


def test_skeletons_are_listed_shown_and_compared(package):
    (block,) = (b for b in blocks(DOCS / "add-a-system.md") if b.language == "console")
    run_console(block, package)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as both renderers make them for plain words."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", h.lower()).strip()) for h in headings}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        if "://" in target or name.startswith("reference/"):
            continue
        found = page.parent / name if name else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            missing.append(target)
    assert not missing


@pytest.mark.parametrize("page", WRITTEN, ids=lambda p: p.name)
def test_python_on_the_pages_can_be_parsed(page):
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, f"{page.name}:{block.line}", "exec")


@pytest.mark.parametrize("page", WRITTEN, ids=lambda p: p.name)
def test_names_of_lamina_on_the_pages_exist(page):
    for block in blocks(page):
        for name in re.findall(r"\blamina((?:\.[A-Za-z]\w*)+)", block.text) if block.language == "python" else ():
            path = f"lamina{name}"
            try:
                pkgutil.resolve_name(path)
            except (ImportError, AttributeError) as error:
                pytest.fail(f"line {block.line}: {path}: {error}")


def test_options_on_the_pages_exist():
    texts = [p.read_text(encoding="utf-8") for p in WRITTEN]
    named = {
        m
        for text in texts
        for m in re.findall(r"lamina (compare|fit|predict|list|reproduce|evidence) ?([^\n`]*)", text)
    }
    for command in sorted({command for command, _ in named}):
        ran = subprocess.run(
            [sys.executable, "-m", "lamina", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        options = {o for c, rest in named if c == command for o in re.findall(r"--[a-z]+", rest)}
        assert not {o for o in options if o not in ran.stdout}, command


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The script that writes the reference pages."""
    pytest.importorskip("latex2mathml")
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generator_reads_sections_formulas_and_lists(generate):
    def example(x: int, *, rate: float = 0.5) -> float:
        r"""A sum.

        .. math:: y = \sum_i x_i,
                  \quad i < n

        Where :math:`n` is ``len(x)``.

        Args:
            x: the first
                of two.
            rate: the second.

        Source:
            Somebody.
        """
        return x * rate

    page = generate.docstring(example)
    assert page.count('display="block"') == 1
    assert page.count('display="inline"') == 1
    assert "Where <math" in page
    assert "`len(x)`" in page
    assert "- **x**: the first\nof two.\n- **rate**: the second.\n" in page
    assert page.endswith("**Source**\n\nSomebody.\n")
    assert generate.signature(example, "f") == "```python\nf(x: int, *, rate: float = 0.5) -> float\n```\n"


def test_generator_links_citations(generate):
    cited = generate.cited("A 2020, T, arXiv:2001.00001; B 1986, U, doi:10.1038/323533a0")
    assert "[arXiv:2001.00001](https://arxiv.org/abs/2001.00001)" in cited
    assert "[doi:10.1038/323533a0](https://doi.org/10.1038/323533a0)" in cited
    assert generate.cited("") == "-"


def test_reference_has_a_page_for_each_system_and_each_public_name(generate, tmp_path, monkeypatch):
    import lamina

    tmp_path = tmp_path / "reference"
    tmp_path.mkdir()
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "gone.md").touch()
    generate.main()
    assert {p.stem for p in (tmp_path / "systems").iterdir()} == set(systems())
    for name in ("claims.md", *(f"images/claims/{p.name}" for p in (DOCS / "images" / "claims").iterdir())):
        assert (tmp_path.parent / name).read_text() == (DOCS / name).read_text(), f"{name} is not of the evidence"
    table = (tmp_path / "index.md").read_text()
    assert all(f"[{s.name}](systems/{s.name}.md)" in table and s.summary in table for s in systems().values())
    python = (tmp_path / "python.md").read_text()
    assert all(f"\n## lamina.{n}\n" in python for n in lamina.__all__ if not n.startswith("_"))
    commands = (tmp_path / "cli.md").read_text()
    names = ["compare", "fit", "predict", "list", "show", "report", "data", "reproduce", "evidence"]
    assert all(f"\n## lamina {name}\n" in commands for name in names)
    assert "--params" in commands
    for page in tmp_path.rglob("*.md"):
        assert ":math:" not in page.read_text()
        assert ".. math" not in page.read_text()
