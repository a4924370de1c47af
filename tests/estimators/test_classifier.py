import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from lamina import NetworkClassifier
from lamina.errors import LaminaError

TABLES = Path(__file__).resolve().parents[2] / "../shared/data"
X, Y = make_classification(150, 6, n_informative=4, weights=[0.7], flip_y=0.1, random_state=0)
SHORT = {"steps": 40, "params": 2000, "learning_rate": 4e-3, "random_state": 0}


def probabilities(sample_weight=None, y=Y, **parameters):
    return NetworkClassifier(**SHORT | parameters).fit(X, y, sample_weight=sample_weight).predict_proba(X)


@parametrize_with_checks([NetworkClassifier(steps=100, members=2, params=2000)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_breast_cancer_is_told_with_few_steps():
    data, labels = load_breast_cancer(return_X_y=True)
    scores = cross_val_score(NetworkClassifier(steps=150, random_state=0), data, labels, cv=3)
    assert scores.mean() > 0.95


def test_weights_of_one_are_no_weights():
    np.testing.assert_array_equal(probabilities(), probabilities(np.ones(len(Y))))
    np.testing.assert_array_equal(probabilities(), probabilities([3] * len(Y)))


def test_a_class_weight_is_the_weight_of_each_of_its_rows():
    double = np.where(Y == 1, 2.0, 1.0)
    np.testing.assert_array_equal(probabilities(class_weight={0: 1, 1: 2}), probabilities(double))
    np.testing.assert_array_equal(probabilities(double, class_weight={1: 3}), probabilities(np.where(Y == 1, 6.0, 1.0)))


def test_balanced_weights_are_those_of_scikit_learn_and_raise_the_rare_class():
    balanced = probabilities(class_weight="balanced")
    np.testing.assert_allclose(balanced, probabilities(compute_sample_weight("balanced", Y)), rtol=1e-4)
    assert balanced[:, 1].mean() > probabilities()[:, 1].mean() + 0.05


def test_rows_of_weight_zero_teach_nothing():
    weight = np.where(np.arange(len(Y)) < 50, 0.0, 1.0)
    spoilt = np.where(weight > 0, Y, 1 - Y)
    np.testing.assert_array_equal(probabilities(weight), probabilities(weight, y=spoilt))
    removed = NetworkClassifier(**SHORT).fit(X[50:], Y[50:]).predict_proba(X)
    np.testing.assert_array_equal(probabilities(weight), removed)


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [-1, 5], [2.0, 3.0]])
def test_labels_come_back_as_they_were(labels):
    y = np.array(labels)[Y]
    estimator = NetworkClassifier(**SHORT).fit(X, y)
    np.testing.assert_array_equal(estimator.classes_, np.array(labels))
    assert estimator.predict(X).dtype == y.dtype
    np.testing.assert_array_equal(estimator.predict_proba(X), probabilities())
    np.testing.assert_allclose(np.exp(estimator.predict_log_proba(X)), estimator.predict_proba(X))


def test_one_class_alone_is_an_error():
    with pytest.raises(LaminaError, match="y has 1 class, 'a'; a classifier needs two or more"):
        NetworkClassifier().fit(X, ["a"] * len(X))


def test_class_weights_have_to_be_positive():
    with pytest.raises(LaminaError, match="every weight has to be above 0"):
        probabilities(class_weight={0: 0, 1: 1})
    with pytest.raises(ValueError, match="class_weight"):
        probabilities(class_weight="equal")


def loss(estimator):
    return -np.log(estimator.predict_proba(X)[np.arange(len(Y)), Y]).mean()


def test_partial_fit_lowers_the_loss_from_pass_to_pass():
    estimator = NetworkClassifier(**SHORT)
    losses = [loss(estimator.partial_fit(X, Y, classes=[0, 1])) for _ in range(12)]
    assert losses[0] < 1.1 * np.log(2)
    assert losses[-1] < losses[5] < losses[0]
    assert losses[-1] < 0.6 * losses[0]
    assert len(estimator.loss_curve_) == 12
    again = NetworkClassifier(**SHORT)
    for _ in range(12):
        again.partial_fit(X, Y, classes=[0, 1])
    assert loss(again) == losses[-1]


def test_partial_fit_learns_from_batches_that_lack_a_class():
    estimator = NetworkClassifier(**SHORT)
    for _ in range(5):
        for part in np.array_split(np.argsort(Y), 4):
            estimator.partial_fit(X[part], Y[part], classes=[0, 1, 2])
    assert estimator.predict_proba(X).shape == (len(X), 3)
    assert estimator.predict_proba(X)[:, 2].max() < 0.5


def test_partial_fit_goes_on_from_a_fit():
    estimator = NetworkClassifier(early_stopping=False, **SHORT).fit(X, Y)
    before, steps = loss(estimator), estimator.n_iter_
    for _ in range(5):
        estimator.partial_fit(X, Y)
    assert loss(estimator) < before
    assert estimator.n_iter_ > steps


def test_partial_fit_says_what_it_lacks():
    with pytest.raises(LaminaError, match="the first call of partial_fit needs classes="):
        NetworkClassifier(**SHORT).partial_fit(X, Y)
    with pytest.raises(LaminaError, match="'balanced' needs all rows at once"):
        NetworkClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1])
    estimator = NetworkClassifier(**SHORT).partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(LaminaError, match=r"y holds the class 2, which is none of \[0, 1\]"):
        estimator.partial_fit(X, Y + 1)
    with pytest.raises(LaminaError, match=r"they were \[0, 1\] in the first call"):
        estimator.partial_fit(X, Y, classes=[0, 1, 2])


def test_a_search_over_networks_and_their_options():
    grid = [{"network": ["mlp"], "options": [{"depth": 1}, {"depth": 2}]}, {"network": ["fan"]}]
    search = GridSearchCV(NetworkClassifier(**SHORT), grid, cv=3, scoring="neg_log_loss").fit(X, Y)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 3
    assert search.best_score_ == max(scores) > -np.log(2)


@pytest.fixture(scope="module")
def titanic():
    path = TABLES / "tables/titanic.csv.gz"
    if not path.exists():
        pytest.skip("the tables are not here")
    facts = {facts["name"]: facts for facts in json.loads((TABLES / "tables.json").read_text())}["titanic"]
    frame = pl.read_csv(path).drop(facts["ignore"])
    assert frame.drop("Survived").null_count().sum_horizontal()[0] > 800
    return frame.drop("Survived"), frame["Survived"].replace_strict({0: "died", 1: "survived"})


@pytest.mark.parametrize("kind", ["polars", "pandas"])
def test_a_frame_with_text_and_missing_values_is_learnt(titanic, kind):
    features, target = titanic
    features, target = (features, target) if kind == "polars" else (features.to_pandas(), target.to_pandas())
    scores = cross_val_score(
        NetworkClassifier(random_state=0, params=5000, steps=200), features, target, cv=3, scoring="roc_auc"
    )
    assert scores.mean() > 0.83


def test_what_was_never_seen_is_taken_as_missing(titanic):
    features, target = titanic
    estimator = NetworkClassifier(**SHORT).fit(features, target)
    assert estimator.feature_names_in_.tolist() == features.columns
    left_out = {column.name for column in estimator.schema_.columns if not column.used}
    assert {"Name", "Ticket"} <= left_out
    rows = features.head(20)
    strange = rows.with_columns(Embarked=pl.lit("Z"), Age=pl.lit(float("inf")))
    missing = rows.with_columns(Embarked=pl.lit(None, pl.String), Age=pl.lit(None, pl.Float64))
    np.testing.assert_array_equal(estimator.predict_proba(strange), estimator.predict_proba(missing))
    assert np.abs(estimator.predict_proba(strange) - estimator.predict_proba(rows)).max() > 1e-3


def test_a_missing_column_is_named(titanic):
    features, target = titanic
    estimator = NetworkClassifier(**SHORT).fit(features, target)
    with pytest.raises(ValueError, match="yet now missing:\n- Fare"):
        estimator.predict(features.drop("Fare"))
    with pytest.raises(LaminaError, match="column 'Fare' holds 'cheap'; numbers are expected in it"):
        estimator.predict(features.with_columns(Fare=pl.lit("cheap")))


def test_it_stands_at_the_end_of_a_pipeline(titanic):
    features, target = titanic[0].to_pandas(), titanic[1].to_pandas()
    columns = ColumnTransformer(
        [("number", StandardScaler(), ["Age", "Fare", "Pclass"]), ("text", OneHotEncoder(), ["Sex", "Embarked"])]
    )
    pipeline = clone(make_pipeline(columns, NetworkClassifier(**SHORT)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline.fit(features, target, networkclassifier__sample_weight=np.ones(len(target)))
    assert pipeline.score(features, target) > 0.75
    assert isinstance(pipeline.predict(features.head(3))[0], str)
    assert pd.Series(pipeline.predict(features)).isin(["died", "survived"]).all()
