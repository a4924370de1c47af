"""The wheel: what is in it, and that it runs where nothing else of the repository is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPARE = "compare iris --networks mlp --rivals linear --splits 2 --seeds 1 --settings 1 --json"

pytestmark = pytest.mark.timeout(1800)
slow = pytest.mark.skipif(os.environ.get("LAMINA_SLOW") != "1", reason="takes minutes; LAMINA_SLOW=1 runs it")


def run(*command: str | Path, cwd: Path) -> str:
    """The standard output of a command that has to succeed, run without the checkout on its path."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    ran = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", *options, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_the_package_its_data_and_nothing_else(wheel):
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    source = ROOT / "src"
    wanted = {
        p.relative_to(source).as_posix()
        for p in (source / "lamina").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert names == wanted
    assert "lamina/py.typed" in names


def test_the_wheel_says_its_licence_and_its_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (info,) = {n.split("/")[0] for n in archive.namelist() if ".dist-info/" in n}
        assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        assert b"lamina = lamina.cli:main" in archive.read(f"{info}/entry_points.txt")
        assert b"License-Expression: Apache-2.0" in archive.read(f"{info}/METADATA")


def compared(environment: Path, cwd: Path) -> dict:
    """The summary of a small comparison by the `lamina` of an environment, and not by the checkout's."""
    scripts = environment / "bin"
    where = run(scripts / "python", "-c", "import lamina; print(lamina.__file__)", cwd=cwd)
    assert environment.resolve() in Path(where.strip()).resolve().parents
    return json.loads(run(scripts / "lamina", *COMPARE.split(), cwd=cwd))


def check(summary: dict) -> None:
    assert [n["name"] for n in summary["networks"]] == ["mlp"]
    assert summary["networks"][0]["mean"] > 0.8
    (pair,) = summary["verdict"]["pairs"]
    assert {pair["first"], pair["second"]} == {"mlp", "linear"}


def test_lamina_runs_from_the_wheel_on_borrowed_dependencies(wheel, tmp_path):
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python")
    run(*pip, "install", "--no-deps", "--quiet", wheel, cwd=tmp_path)
    site = next(environment.rglob("site-packages"))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    check(compared(environment, tmp_path))


@slow
def test_the_wheel_installs_into_an_empty_environment_and_lamina_runs_from_it(wheel, tmp_path):
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True, symlinks=True)
    python = environment / "bin" / "python"
    install = (python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt")
    run(*install, wheel, cwd=tmp_path)
    check(compared(environment, tmp_path))
    installed = json.loads(run(python, "-m", "pip", "list", "--format", "json", cwd=tmp_path))
    assert {p["name"] for p in installed}.isdisjoint({"pytest", "pandas", "mkdocs", "lightgbm"})
