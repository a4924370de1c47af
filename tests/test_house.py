"""The repository keeps its own promises: names, versions, mirrored tests, directions, speed."""

from __future__ import annotations

import ast
import functools
import os
import re
import resource
import subprocess
import sys
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lamina.catalog import KINDS, systems

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "lamina"
MODULES = sorted(p.relative_to(SOURCE) for p in SOURCE.rglob("*.py"))
# A part of Lamina imports itself and what stands before it; what is not named here may import everything.
ORDER = [
    "errors",
    "files",
    "catalog",
    "metrics",
    "kernels",
    "layers",
    "networks",
    "data",
    "training",
    "fold",
    "model",
    "compare",
    "study",
    "evidence",
    "claims",
]


@functools.cache
def tracked() -> list[Path]:
    """The files of the repository that are or would be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_readme_and_contributing_name_only_targets_that_the_makefile_has():
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), flags=re.M))
    pages = text("README.md") + text("CONTRIBUTING.md") + text("docs/index.md")
    named = set(re.findall(r"^make ([a-z]+)", pages, flags=re.M))
    assert {"demo", "test"} <= named <= targets


def test_continuous_integration_and_pre_commit_run_what_the_makefile_has():
    assert re.search(r"^make lint$", text(".ci/run"), flags=re.M)
    assert re.search(r"\bmake test$", text(".ci/run"), flags=re.M)
    assert re.findall(r"entry: (.*)", text(".pre-commit-config.yaml")) == ["make --silent lint"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_readme_shows_the_systems_as_the_catalogue_has_them():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text("README.md"), flags=re.M))
    assert rows == {name: systems()[name].summary for name in rows}
    assert len(rows) >= 8


def test_no_file_names_a_place_on_a_developers_machine():
    place = re.compile(rf"(?<![\w.~$}}])/({'|'.join(['work', 'root', 'opt', 'home', 'Users'])})/")
    found = []
    for path in tracked():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}:{i}: {line}" for i, line in enumerate(lines, 1) if place.search(line)]
    assert not found, "\n".join(found)


def test_the_version_is_the_same_everywhere():
    wanted = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert version("lamina") == wanted
    assert re.findall(r"^version: (.*)$", text("CITATION.cff"), flags=re.M) == [wanted]
    assert re.findall(r"^## ([\d.]+)", text("CHANGELOG.md"), flags=re.M)[0] == wanted


def test_the_citation_file_can_be_read():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == tomllib.loads(text("pyproject.toml"))["project"]["license"]
    assert citation["authors"] == [{"name": "The Lamina developers"}]


def test_constraints_pin_each_core_dependency_within_its_range():
    lines = [line for line in text("constraints.txt").splitlines() if not line.startswith("#")]
    pins = {canonicalize_name(name): pin for name, _, pin in (line.partition("==") for line in lines)}
    project = tomllib.loads(text("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [r for e in ("test", "lint", "docs") for r in extras[e]]
    missing = [r for r in map(Requirement, wanted) if pins.get(canonicalize_name(r.name), "") not in r.specifier]
    assert not missing
    assert pins[canonicalize_name("torch")] == "2.13.0"


def needed(name: str, found: frozenset[str] = frozenset()) -> frozenset[str]:
    """The packages that a package needs without its extras, itself among them, as they are installed."""
    name = canonicalize_name(name)
    if name in found:
        return found
    found |= {name}
    for line in requires(name) or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found = needed(requirement.name, found)
    return found


def test_the_core_needs_at_most_25_packages_beyond_those_of_torch():
    assert len(needed("lamina") - needed("torch") - {"lamina"}) <= 25


def mirrored(module: Path) -> bool:
    """Whether a module has a test file of its own, or is a system or a claim and so under the conformance kit."""
    if any(part.startswith("_") for part in module.parts) or module.parts[0] == "claims":
        return True
    kit = {".".join(("lamina", *module.with_suffix("").parts))} & {s.module for s in systems().values()}
    return bool(kit) or (ROOT / "tests" / module.parent / f"test_{module.name}").exists()


def test_each_module_has_a_mirrored_test():
    missing = [f"tests/{m.parent / f'test_{m.name}'}" for m in MODULES if not mirrored(m)]
    assert not missing, "\n".join(missing)


def test_test_files_have_different_names():
    names = [p.name for p in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)


def imported(module: Path) -> set[str]:
    """The parts of Lamina that a module imports, anywhere in it: ``errors``, ``networks`` ..."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((SOURCE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = [".".join(("lamina", *module.parts[: len(module.parts) - node.level]))] if node.level else []
            base = ".".join(filter(None, [*inside, node.module]))
            names |= {f"{base}.{alias.name}" for alias in node.names} if base == "lamina" else {base}
    return {name.split(".")[1] for name in names if name.startswith("lamina.")}


def against_the_direction(module: Path) -> set[str]:
    """What a module imports and must not."""
    part = module.with_suffix("").parts[0]
    return imported(module) - set(ORDER[: ORDER.index(part) + 1]) if part in ORDER else set()


def test_dependencies_point_one_way():
    found = {str(m): wrong for m in MODULES if (wrong := against_the_direction(m))}
    assert not found


def test_imports_are_seen_whatever_their_form(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "a.py").write_text(
        "import lamina.study.store\nfrom lamina import model\nfrom ..data import task\nfrom .b import c\n"
    )
    assert imported(Path("training/a.py")) == {"study", "model", "data", "training"}
    assert against_the_direction(Path("training/a.py")) == {"study", "model"}


def test_each_kind_of_system_is_found_without_importing_it():
    code = "import sys, lamina.catalog as c; c.systems(); print({'torch', 'numpy'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
    assert {s.kind for s in systems().values()} <= set(KINDS)


COMMAND = """
import sys
sys.argv = ["lamina", *sys.argv[1:]]
try:
    from lamina.cli import main
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "sklearn", "polars", "scipy", "plotly", "pandas"}
print(*sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""


def cpu_seconds(arguments: list[str]) -> float:
    """Processor time of a Python process, the least of three."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(times)


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--json"], ["data"]], ids=" ".join)
def test_help_and_lists_are_quick_and_import_nothing_heavy(arguments):
    ran = subprocess.run([sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, check=True)
    assert ran.stdout.strip()
    assert ran.stderr.strip() == ""
    assert cpu_seconds(["-c", COMMAND, *arguments]) - cpu_seconds(["-c", "pass"]) < 0.5


def test_importing_lamina_costs_little_over_importing_torch():
    code = "import time, torch; start = time.process_time(); import lamina; print(time.process_time() - start)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 0.3


def test_public_names_mean_the_same_after_every_module_was_imported():
    code = """
import importlib, pkgutil, lamina
before = {name: getattr(lamina, name) for name in lamina.__all__}
for module in pkgutil.walk_packages(lamina.__path__, "lamina."):
    if not module.name.rpartition(".")[2].startswith("_"):
        importlib.import_module(module.name)
changed = [name for name in lamina.__all__ if getattr(lamina, name) is not before[name]]
assert not changed, changed
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_repository_holds_full_evidence_on_every_claim():
    from lamina.evidence import collected, names

    found = collected(ROOT / "evidence")
    assert {e.name: (e.scale, len(e.seeds)) for e in found} == dict.fromkeys(names(), ("full", 10))
