import json

import numpy as np
import polars as pl
import pytest
import torch

from lamina.data.task import make_task
from lamina.errors import LaminaError
from lamina.model import Blueprint, Model, fit_model, train_members
from lamina.training import Recipe, Setting

RECIPE = Recipe(steps=200)


def fit(data="iris", network="mlp", **options):
    return fit_model(
        make_task(data), network, **{"settings": [Setting()], "params": 1000, "seeds": 2, "recipe": RECIPE, **options}
    )


@pytest.fixture(scope="module")
def iris():
    return fit()


def test_a_model_predicts_labels_and_probabilities(iris):
    task = make_task("iris")
    probabilities = iris.predict_proba(task.features)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    predicted = np.asarray(iris.predict(task.features))
    np.testing.assert_array_equal(predicted, np.asarray(task.target.classes)[probabilities.argmax(1)])
    assert np.mean(predicted == np.asarray(task.target.decode(task.y))) > 0.9


def test_its_prediction_is_the_mean_of_its_members(iris):
    x = torch.from_numpy(iris.encoder.transform(make_task("iris").features))
    members = [iris.fleet.module(i)(x) for i in range(2)]
    expected = torch.stack(members).double().softmax(-1).mean(0)
    np.testing.assert_allclose(iris.predict_proba(make_task("iris").features), expected.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize("network", ["mlp", "moe", "kan"])
def test_a_model_folder_gives_the_same_predictions(tmp_path, network):
    model = fit("diabetes", network)
    features = make_task("diabetes").features
    again = Model.load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(again.predict(features), model.predict(features))
    assert again.about == model.about
    assert {p.name for p in (tmp_path / "m").iterdir()} == {"weights.safetensors", "encoder.safetensors", "model.json"}
    with pytest.raises(LaminaError, match="predicts the values of 'progression', there are no probabilities"):
        again.predict_proba(features)


def test_categories_with_many_values_are_embedded_and_come_back(tmp_path):
    generator = np.random.default_rng(0)
    town = generator.integers(0, 30, 300)
    frame = pl.DataFrame({"town": [f"town {t}" for t in town], "y": (town % 3).astype(str)})
    model = fit_model(
        make_task(frame, "y"),
        "mlp",
        settings=[Setting(1e-2, 0.01, 0.0)],
        params=2000,
        seeds=1,
        recipe=Recipe(steps=300),
    )
    assert model.encoder.cardinalities == (31,)
    again = Model.load(model.save(tmp_path / "m"))
    assert np.mean(np.asarray(again.predict(frame)) == frame["y"].to_numpy()) > 0.9
    assert len(again.predict(pl.DataFrame({"town": ["elsewhere", None]}))) == 2


def test_the_setting_is_chosen_by_the_validation_loss():
    model = fit(settings=[Setting(learning_rate=1e-9), Setting()])
    assert model.about["setting"]["learning_rate"] == Setting().learning_rate


def test_no_member_is_an_error():
    with pytest.raises(LaminaError, match="seeds is 0, it has to be at least 1"):
        fit(seeds=0)


def test_when_every_training_diverges_it_says_so():
    with pytest.raises(LaminaError, match="every training of mlp diverged"):
        fit(settings=[Setting(learning_rate=1e30)])


def test_a_blueprint_builds_the_same_network_from_the_same_seed(iris):
    a, b, c = iris.blueprint.build(seed=1), iris.blueprint.build(seed=1), iris.blueprint.build(seed=2)
    weights = [next(n.parameters()) for n in (a, b, c)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert isinstance(iris.blueprint, Blueprint)


def test_saving_replaces_a_model_but_nothing_else(iris, tmp_path):
    iris.save(tmp_path / "m")
    iris.save(tmp_path / "m")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/precious.txt").write_text("")
    with pytest.raises(LaminaError, match=r"holds 'precious\.txt', which is no model's; choose another place"):
        iris.save(tmp_path / "other")
    (tmp_path / "m/notes.txt").write_text("")
    with pytest.raises(LaminaError, match=r"holds 'notes\.txt', which is no model's"):
        iris.save(tmp_path / "m")
    with pytest.raises(LaminaError, match="is a file; choose another place for the model folder"):
        iris.save(tmp_path / "m/notes.txt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "other"]


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def edit(change):
    def apply(path):
        facts = json.loads(path.read_text())
        change(facts)
        path.write_text(json.dumps(facts))

    return apply


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("weights.safetensors", cut, "is not a sound model folder"),
        ("encoder.safetensors", cut, "is not a sound model folder"),
        ("weights.safetensors", lambda p: p.write_bytes(b"\x80\x04."), "is not a sound model folder"),
        ("weights.safetensors", lambda p: p.unlink(), "is not a sound model folder"),
        ("model.json", cut, "is not a sound model folder"),
        ("model.json", lambda p: p.unlink(), "model.json is missing"),
        ("model.json", edit(lambda f: f.update(format=99)), "has format 99, this version reads 1"),
        ("model.json", edit(lambda f: f["blueprint"].update(network="os")), "system 'os' is not known"),
        ("model.json", edit(lambda f: f["blueprint"]["sizes"].update(width=3)), "the weights have shape"),
        ("model.json", edit(lambda f: f["blueprint"].update(code="x")), "is not a sound model folder"),
        ("model.json", edit(lambda f: f.pop("encoder")), "is not a sound model folder"),
        ("model.json", edit(lambda f: f["target"]["classes"].pop()), "classes are 3 and 2"),
        ("model.json", edit(lambda f: f["head"].update(classes=5)), "classes are 5 and 3"),
        ("model.json", edit(lambda f: f["blueprint"].update(in_features=9)), "features are 9 and"),
        ("model.json", edit(lambda f: f["blueprint"]["sizes"].update(width=10**7)), "the weights have shape"),
    ],
)
def test_a_damaged_or_foreign_folder_is_refused(iris, tmp_path, file, damage, message):
    folder = iris.save(tmp_path / "m")
    damage(folder / file)
    with pytest.raises(LaminaError) as error:
        Model.load(folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("racing", [True, False])
def test_settings_race_unless_it_is_told_not_to(monkeypatch, racing):
    found = []

    def watched(*arguments, **options):
        fleet, traces = train_members(*arguments, **options)
        found.extend(traces)
        return fleet, traces

    monkeypatch.setattr("lamina.model.train_members", watched)
    settings = [Setting(learning_rate=rate) for rate in (1e-6, 3e-3, 1e-9)]
    model = fit(settings=settings, recipe=Recipe(steps=60, patience=1.0), **({} if racing else {"racing": False}))
    assert model.about["setting"]["learning_rate"] == 3e-3
    assert [t.outraced for t in found] == [racing, racing, False, False, racing, racing]
    assert [t.steps for t in found] == ([40, 40, 60, 60, 20, 20] if racing else [60] * 6)
