"""The catalogue, and a package that joins it through the entry point with no edit anywhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lamina import catalog
from lamina.errors import LaminaError
from lamina.testing import CHECKS

SOURCE = Path(catalog.__file__).parents[1]
SYSTEM = '''
import torch.nn.functional as F
from torch import nn

from lamina.catalog import layer
from lamina.layers.arguments import described, features, whole


@layer(domain="any", summary="dense layer with GELU", paper="Doe 2020, Dense, arXiv:2001.00001")
class Extra(nn.Module):
    """Dense layer ``gelu(W x + b)``.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another last dimension.

    Source:
        Doe 2020, Dense, arXiv:2001.00001.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.linear = nn.Linear(in_features, out_features)

    def reset_parameters(self) -> None:
        self.linear.reset_parameters()

    def forward(self, x):
        return F.gelu(self.linear(features(x, self.in_features)))

    extra_repr = described
'''


def install(folder: Path, text: str, name: str = "extra") -> None:
    """A package `strangers` with one system, as an installer would leave it in `folder`."""
    package, info = folder / "strangers", folder / "strangers-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (package / f"{name}.py").write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lamina.systems]\nstrangers = strangers\n")


def python(code: str, *folders: Path, ok: bool = True) -> str:
    """What `code` prints in an interpreter of its own that finds packages in `folders`."""
    path = os.pathsep.join(map(str, (*folders, SOURCE)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert (done.returncode == 0) == ok, done.stderr + done.stdout
    return done.stdout if ok else done.stderr


def test_lists_without_importing_torch():
    code = "import sys; from lamina.catalog import systems; print(len(systems()), 'torch' in sys.modules)"
    count, torch_imported = python(code).split()
    assert int(count) >= 8
    assert torch_imported == "False"


def test_facts_read_from_the_source_are_those_of_the_class():
    for system in catalog.systems().values():
        assert getattr(system.load(), "__lamina__") == system  # noqa: B009


def test_a_package_joins_through_the_entry_point(tmp_path):
    install(tmp_path, SYSTEM)
    code = (
        "import sys; from lamina import catalog\n"
        "print(catalog.find('extra'), 'torch' in sys.modules, 'extra' in catalog.table_networks())\n"
        "from lamina.networks import count_params, create\n"
        "print(count_params(create('extra', in_features=5, out_features=2, params=1_000)))\n"
    )
    facts, size = python(code, tmp_path).splitlines()
    assert "System(name='extra', kind='layer', domain='any', summary='dense layer with GELU'" in facts
    assert facts.endswith(" False True")
    assert abs(int(size) - 1_000) <= 50


def test_a_package_that_joins_passes_the_conformance_kit(tmp_path):
    install(tmp_path, SYSTEM)
    test = tmp_path / "test_strangers.py"
    test.write_text("import lamina.testing\n@lamina.testing.parametrize()\ndef test_it(check):\n    check()\n")
    options = ["-q", "-k", "extra-", "-p", "no:cacheprovider", str(test)]
    code = f"import sys, pytest; sys.exit(pytest.main({options}))"
    assert f"{len(CHECKS)} passed" in python(code, tmp_path)


LIST = "from lamina.catalog import systems; systems()"


def test_facts_that_are_not_literals_are_refused(tmp_path):
    install(tmp_path, SYSTEM.replace('summary="dense layer with GELU"', "summary=str(1)"))
    error = python(LIST, tmp_path, ok=False)
    assert "extra.py: the facts of Extra have to be the literals domain, summary, paper" in error


def test_a_missing_fact_is_refused(tmp_path):
    install(tmp_path, SYSTEM.replace('domain="any", ', ""))
    assert "extra.py: the facts of Extra have to be the literals" in python(LIST, tmp_path, ok=False)


def test_two_systems_of_one_name_are_refused(tmp_path):
    install(tmp_path, SYSTEM, name="kan")
    error = python(LIST, tmp_path, ok=False)
    assert "system 'kan' stands twice: in lamina.layers.kan and in strangers.kan" in error


def test_a_package_that_is_gone_is_named(tmp_path):
    install(tmp_path, SYSTEM)
    for path in (tmp_path / "strangers").iterdir():
        path.unlink()
    (tmp_path / "strangers").rmdir()
    assert "names the package 'strangers', which cannot be found" in python(LIST, tmp_path, ok=False)


def test_unknown_name_is_answered_with_the_closest():
    with pytest.raises(LaminaError, match=r"system 'kahn' is not known; the closest are: kan"):
        catalog.find("kahn")
