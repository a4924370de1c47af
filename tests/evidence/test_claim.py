import dataclasses
import inspect
import re
from types import SimpleNamespace

import pytest

from lamina import catalog
from lamina.errors import LaminaError
from lamina.evidence import Claim, Scale, Target, find, names
from lamina.evidence.claim import claim
from lamina.networks.size import count_params

FACTS = {"says": "s", "where": "w", "data": "d", "reported": "r", "limits": "l"}
TARGETS = (Target("m", "value", at_most=1),)


def declared(name, **facts):
    def measure(arm, seed, scale):
        return {"m": 0.0}

    measure.__module__ = f"lamina.claims.{name}"
    return claim(**FACTS, targets=TARGETS, **facts)(measure)


def test_every_system_of_the_catalogue_has_a_claim():
    assert set(catalog.systems()) <= set(names())


def test_a_claim_of_a_systems_name_is_about_it():
    found = declared("fan", baselines=("mlp",), params=3_000)
    assert found.paper == catalog.find("fan").paper
    assert list(found.arms()) == ["fan", "mlp"]
    for arm in found.arms().values():
        assert abs(count_params(arm(6, 1, seed=0)) - 3_000) <= 150


def test_a_claim_without_a_system_names_its_paper():
    assert declared("theory", paper="A 2020, T, arXiv:2001.00001", system="mlp").paper.startswith("A 2020")
    with pytest.raises(LaminaError, match="claim 'theory' names no paper"):
        declared("theory", system="mlp")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"baselines": {}}, "has nothing to be compared with"),
        ({"baselines": {"fan": None}}, "has a baseline of its own name"),
        ({"targets": (Target("m", "ratio", at_most=1, against="kan"),)}, "is against 'kan', no baseline of mlp"),
    ],
)
def test_targets_without_their_baselines_are_refused(changed, message):
    found = dataclasses.replace(declared("fan", baselines=("mlp",)), targets=(Target("m", "ratio", at_most=1),))
    with pytest.raises(LaminaError, match=message):
        dataclasses.replace(found, **changed)


def test_a_name_that_stands_twice_is_refused(tmp_path, monkeypatch):
    (tmp_path / "twins" / "claims").mkdir(parents=True)
    for name in ("__init__.py", "claims/kan.py"):
        (tmp_path / "twins" / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalog, "entry_points", lambda group: [SimpleNamespace(value="twins")])
    with pytest.raises(LaminaError, match=r"claim 'kan' stands twice: in lamina\.claims\.kan and in twins"):
        names()


def test_targets_of_a_larger_scale_wait():
    later = Target("n", "value", at_most=1, scale="full")
    found = dataclasses.replace(declared("fan"), targets=(*TARGETS, later))
    assert found.targets_at(Scale.QUICK) == TARGETS
    assert found.targets_at(Scale.FULL) == found.targets_at(Scale.PAPER) == (*TARGETS, later)


def test_a_scale_picks_its_value():
    assert [scale.pick(1, 2) for scale in (Scale.QUICK, Scale.FULL)] == [1, 2]
    with pytest.raises(LaminaError, match="it has no scale paper"):
        Scale.PAPER.pick(1, 2)
    assert [scale.pick(1, 2, 3) for scale in Scale] == [1, 2, 3]


def test_an_unknown_claim_is_answered_with_the_closest():
    with pytest.raises(LaminaError, match=r"claim 'resnt' is not known; the closest are: resnet"):
        find("resnt")


def test_the_fingerprint_is_of_the_files_that_are_measured(monkeypatch):
    found = find("fan")
    assert re.fullmatch(r"[0-9a-f]{16}", found.fingerprint)
    assert found.fingerprint == find("fan").fingerprint != find("kan").fingerprint
    read, source = [], inspect.getsource
    record = lambda module: read.append(module.__name__) or source(module)  # noqa: E731
    monkeypatch.setattr("lamina.evidence.claim.inspect.getsource", record)
    assert found.fingerprint
    assert {"lamina.claims.fan", "lamina.claims._characters", "lamina.layers.fan", "lamina.layers.kan"} <= set(read)
    read.clear()
    assert find("resnet").fingerprint
    assert "lamina.networks.tables.resnet" in read
    read.clear()
    assert find("kan").fingerprint  # it makes its baseline by name
    assert "lamina.networks.tables.mlp" in read
    assert not any(name.startswith(("lamina.evidence", "torch")) for name in read)


def test_a_package_that_joins_brings_its_claims(tmp_path, monkeypatch):
    (tmp_path / "guests" / "claims").mkdir(parents=True)
    for name in ("__init__.py", "claims/__init__.py", "claims/guest.py", "claims/_shared.py"):
        (tmp_path / "guests" / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    point = SimpleNamespace(value="guests")
    monkeypatch.setattr(catalog, "entry_points", lambda group: [point] if group == catalog.GROUP else [])
    assert "guest" in names()
    assert "_shared" not in names()
    with pytest.raises(LaminaError, match=r"guests\.claims\.guest declares 0 claims"):
        find("guest")


def test_all_claims_can_be_imported():
    assert all(isinstance(find(name), Claim) for name in names())
