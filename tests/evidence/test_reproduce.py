import dataclasses
import json

import numpy as np
import pytest
from conftest import install

import lamina
from lamina.errors import LaminaError
from lamina.evidence import Evidence, Target, reproduce_all

METRIC = "error"


def values(evidence):
    return {name: arm["values"][METRIC] for name, arm in evidence.arms.items()}


def test_the_verdict_rests_on_paired_seeds(known):
    found = lamina.reproduce("toy", jobs=1)
    assert found.verdict == "holds"
    assert found.seeds == [0, 1, 2, 3, 4]
    noise = [np.random.default_rng(seed).uniform(1, 2) for seed in found.seeds]
    assert values(found)["biased"] == pytest.approx([5 + n for n in noise])
    (finding,) = found.findings
    ratios = np.array(values(found)["toy"]) / values(found)["biased"]
    assert finding["effect"] == pytest.approx(np.median(ratios))
    assert (finding["reached"], finding["against"]) == (1 / 32, "biased")
    assert found.system["params"] == [[3]] * 5


def test_swapped_the_claim_does_not_hold(known, monkeypatch):
    swapped = dataclasses.replace(known, system=known.baselines["biased"], baselines={"biased": known.system})
    install(monkeypatch, toy=swapped)
    assert lamina.reproduce("toy", jobs=1).verdict == "does not hold"


def test_too_few_seeds_decide_nothing(known):
    assert lamina.reproduce("toy", seeds=4, jobs=1).verdict == "not decided"


def test_seeds_may_be_named_and_the_scale_has_its_own_number(known):
    assert lamina.reproduce("toy", seeds=range(10, 13), jobs=1).seeds == [10, 11, 12]
    assert len(lamina.reproduce("toy", scale="full", jobs=1).seeds) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"seeds": 0}, "seeds is 0"), ({"seeds": [-1]}, r"seeds is \[-1\]"), ({"scale": "huge"}, "scale 'huge'")],
)
def test_what_cannot_be_measured_is_refused(known, arguments, message):
    with pytest.raises(LaminaError, match=message):
        lamina.reproduce("toy", jobs=1, **arguments)


def test_evidence_is_written_and_read_again(known, tmp_path):
    found = lamina.reproduce("toy", jobs=1, out=tmp_path)
    path = tmp_path / "quick" / "toy.json"
    assert Evidence.load(path) == found
    assert [p.name for p in path.parent.iterdir()] == ["toy.json"]
    assert set(json.loads(path.read_text())["environment"]) >= {"lamina", "torch", "machine", "python"}


def counting(known, monkeypatch, fail_at=None):
    """The toy, with a list of the seeds that are measured; at `fail_at` it is interrupted."""
    seen = []

    def measure(arm, seed, scale):
        if seed == fail_at:
            raise KeyboardInterrupt
        seen.append(seed)
        return known.measure(arm, seed, scale)

    measure.__module__ = known.measure.__module__
    claim = dataclasses.replace(known, measure=measure)
    install(monkeypatch, toy=claim)
    return seen


def test_an_interrupted_measuring_goes_on_and_ends_as_if_nothing_had_been(known, monkeypatch, tmp_path):
    whole = lamina.reproduce("toy", jobs=1)
    counting(known, monkeypatch, fail_at=3)
    with pytest.raises(KeyboardInterrupt):
        lamina.reproduce("toy", jobs=1, out=tmp_path)
    assert not (tmp_path / "quick" / "toy.json").exists()
    seen = counting(known, monkeypatch)
    found = lamina.reproduce("toy", jobs=1, out=tmp_path, resume=True)
    assert seen == [3, 3, 4, 4]
    assert values(found) == values(whole)
    assert found.findings == whole.findings
    assert [p.name for p in (tmp_path / "quick").iterdir()] == ["toy.json"]


def test_an_interrupted_measuring_leaves_the_old_evidence(known, monkeypatch, tmp_path):
    old = lamina.reproduce("toy", jobs=1, out=tmp_path)
    counting(known, monkeypatch, fail_at=3)
    with pytest.raises(KeyboardInterrupt):
        lamina.reproduce("toy", jobs=1, out=tmp_path)
    assert Evidence.load(tmp_path / "quick" / "toy.json") == old


def test_evidence_of_other_code_is_not_gone_on_with(known, monkeypatch, tmp_path):
    lamina.reproduce("toy", jobs=1, out=tmp_path)
    seen = counting(known, monkeypatch)
    lamina.reproduce("toy", jobs=1, out=tmp_path, resume=True)
    assert seen == []
    path = tmp_path / "quick" / "toy.json"
    path.write_text(path.read_text().replace('"fingerprint": "', '"fingerprint": "x'))
    lamina.reproduce("toy", jobs=1, out=tmp_path, resume=True)
    assert len(seen) == 10


def test_a_claim_that_fails_says_so_and_the_others_go_on(known, monkeypatch):
    def broken(arm, seed, scale):
        raise ZeroDivisionError("no data")

    install(monkeypatch, toy=known, broken=dataclasses.replace(known, name="broken", measure=broken))
    found = dict(reproduce_all(["broken", "toy"], jobs=1))
    assert str(found["broken"]) == "ZeroDivisionError: no data"
    assert found["toy"].verdict == "holds"


def test_a_metric_that_is_not_measured_is_an_error(known, monkeypatch):
    claim = dataclasses.replace(known, targets=(*known.targets, Target("speed", "value", at_least=1)))
    install(monkeypatch, toy=claim)
    with pytest.raises(LaminaError, match="did not measure speed at scale quick"):
        lamina.reproduce("toy", jobs=1)


def test_progress_counts_all_seeds_of_all_claims(known):
    seen = []
    list(reproduce_all(["toy"], seeds=4, jobs=1, progress=lambda *args: seen.append(args)))
    assert [done for _, done, _ in seen] == [0.25, 0.5, 0.75, 1.0]
    assert seen[0][0] == "toy, seed 0"
    assert seen[0][2].startswith("1 process")


def test_numbers_do_not_depend_on_the_processes():
    alone, shared = (lamina.reproduce("prelu_xor", seeds=2, jobs=jobs) for jobs in (1, 2))
    assert shared.environment["processes"] == 2
    assert {n: a["values"] for n, a in alone.arms.items()} == {n: a["values"] for n, a in shared.arms.items()}


def test_evidence_is_not_replaced_by_fewer_seeds(known, tmp_path):
    old = lamina.reproduce("toy", jobs=1, out=tmp_path)
    path = tmp_path / "quick" / "toy.json"
    with pytest.raises(LaminaError, match=r"toy\.json has 5 seeds, not 2: give another folder by --out"):
        lamina.reproduce("toy", seeds=2, jobs=1, out=tmp_path)
    assert lamina.reproduce("toy", seeds=2, jobs=1, out=tmp_path, resume=True).seeds == [0, 1]
    assert lamina.reproduce("toy", jobs=1, out=tmp_path, resume=True) == Evidence.load(path)
    assert old.seeds == [0, 1, 2, 3, 4]


def test_an_interrupted_measuring_is_finished_with_fewer_seeds_and_keeps_the_others(known, monkeypatch, tmp_path):
    counting(known, monkeypatch, fail_at=6)
    with pytest.raises(KeyboardInterrupt):
        lamina.reproduce("toy", seeds=8, jobs=1, out=tmp_path)
    seen = counting(known, monkeypatch)
    assert lamina.reproduce("toy", jobs=1, out=tmp_path, resume=True).verdict == "holds"
    assert Evidence.load(tmp_path / "quick" / "toy.json").seeds == [0, 1, 2, 3, 4]
    assert lamina.reproduce("toy", seeds=8, jobs=1, out=tmp_path, resume=True).seeds == list(range(8))
    assert seen == [6, 6, 7, 7]


def test_evidence_of_another_machine_is_not_gone_on_with(known, monkeypatch, tmp_path):
    lamina.reproduce("toy", jobs=1, out=tmp_path)
    path = tmp_path / "quick" / "toy.json"
    path.write_text(path.read_text().replace('"torch": "', '"torch": "0'))
    seen = counting(known, monkeypatch)
    lamina.reproduce("toy", jobs=1, out=tmp_path, resume=True)
    assert len(seen) == 10


def test_damaged_evidence_is_measured_again(known, tmp_path):
    lamina.reproduce("toy", jobs=1, out=tmp_path)
    path = tmp_path / "quick" / "toy.json"
    path.write_text("{")
    assert lamina.reproduce("toy", jobs=1, out=tmp_path, resume=True) == Evidence.load(path)


def test_a_folder_that_cannot_be_made_is_named_before_anything_is_measured(known, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    seen = counting(known, monkeypatch)
    with pytest.raises(LaminaError, match="evidence cannot be written to"):
        lamina.reproduce("toy", jobs=1, out=tmp_path / "file")
    assert seen == []


def test_a_seed_without_a_number_is_kept_as_none_and_drawn(known, monkeypatch, tmp_path):
    def failing(arm, seed, scale):
        return {"error": float("nan") if seed == 2 else known.measure(arm, seed, scale)["error"]}

    failing.__module__ = known.measure.__module__
    install(monkeypatch, toy=dataclasses.replace(known, measure=failing))
    found = lamina.reproduce("toy", jobs=1, out=tmp_path)
    assert found == Evidence.load(tmp_path / "quick" / "toy.json")
    assert found.system["values"]["error"][2] is None
    assert found.verdict == "not decided"
    assert "nan" not in str(found.plot())


def test_a_claim_without_the_scale_paper_says_so(known, monkeypatch):
    def small(arm, seed, scale):
        return {"error": scale.pick(1.0, 2.0)}

    install(monkeypatch, toy=dataclasses.replace(known, measure=small))
    with pytest.raises(LaminaError, match="it has no scale paper"):
        lamina.reproduce("toy", scale="paper", seeds=1, jobs=1)
