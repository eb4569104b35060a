"""A sweep: what may be varied, that nothing else is, and that its numbers are those of the models it fitted."""

import json

import numpy as np
import pandas as pd
import pytest

from collabtheory.data.planted import PlantedWorld, generate
from collabtheory.data.split import user_folds
from collabtheory.errors import InvalidInput, OutputError
from collabtheory.models.ease import EaseSpec, fit_ease
from collabtheory.models.specification import ModelSpec, TrainingSpec
from collabtheory.ranking import evaluate, write_frame
from collabtheory.runs.engine import run_task
from collabtheory.runs.seeds import derive
from collabtheory.runs.store import Store, exclusive
from collabtheory.stats import compare_paired, holm
from collabtheory.studies.methods import METHODS, applied, get_method
from collabtheory.studies.profiles import StudyProfile, get_study_profile
from collabtheory.studies.steps import FIT_FILE, MEASURES_FILE, USERS_FILE
from collabtheory.studies.sweep import plan_sweep, read_curve, run_sweep
from collabtheory.studies.swept_values import parse_values

QUICK = get_study_profile("quick")
TINY = StudyProfile(
    model=ModelSpec(hidden=(8,), latent=4),
    training=TrainingSpec(epochs=2, batch_size=20),
    folds=2,
    measured_users=20,
)


@pytest.fixture(scope="module")
def world():
    return generate(PlantedWorld(n_users=60), 0)


def plan_for(world, folder, method, setting, values, *, profile=TINY, measure=False):
    store = Store(folder / "store")
    data_file = store.root / f"data-{world.fingerprint[:20]}.npz"
    store.root.mkdir(parents=True, exist_ok=True)
    world.save(data_file)
    plan = plan_sweep(method, setting, values, profile, measure=measure, data=world.fingerprint, data_file=data_file)
    return plan, store


def run_here(plan, store):
    for task in plan.tasks:
        run_task(task, str(store.root))


def write_fits(plan, store, ndcg, *, rising=(), measures=None):
    """Write made-up results: ``ndcg[label]`` holds one row a user, user i in fold i % folds."""
    for (label, fold), task in plan.fits.items():
        folder = store.path(task)
        folder.mkdir(parents=True)
        values = np.asarray(ndcg[label])
        rows = np.flatnonzero(np.arange(len(values)) % plan.profile.folds == fold)
        frame = pd.DataFrame({"fold": fold, "row": rows, "n_items": 9, "ndcg@100": values[rows]})
        write_frame(frame.astype({"fold": np.int64, "row": np.int64, "n_items": np.int64}), folder / USERS_FILE)
        (folder / FIT_FILE).write_text(json.dumps({"still_rising": label in rising and fold == 1}))
    for (label, fold), task in plan.measures.items():
        folder = store.path(task)
        folder.mkdir(parents=True)
        (folder / MEASURES_FILE).write_text(json.dumps(measures(label, fold)))


@pytest.mark.parametrize(
    ("method", "setting", "texts", "expected"),
    [
        ("mult_vae", "beta", ["0", "1e-1", "2"], {"0": 0.0, "0.1": 0.1, "2": 2.0}),
        ("mult_vae", "latent", ["8", "16"], {"8": 8, "16": 16}),
        ("mult_vae", "hidden", ["100", "200,100"], {"100": (100,), "200,100": (200, 100)}),
        ("mult_vae", "likelihood", ["gaussian", "poisson"], {"gaussian": "gaussian", "poisson": "poisson"}),
        ("ease", "l2", ["100", "50"], {"100": 100.0, "50": 50.0}),
        ("ease", "clip_negative", ["0", "1"], {"False": False, "True": True}),
        ("item_knn", "k", ["5", "10"], {"5": 5, "10": 10}),
    ],
)
def test_values_get_the_type_of_their_setting_and_keep_their_order(method, setting, texts, expected):
    found = parse_values(get_method(method), setting, texts, QUICK)
    assert list(found.items()) == list(expected.items())
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize("name", [*ModelSpec.model_fields, *TrainingSpec.model_fields])
def test_every_field_of_model_and_training_can_be_named(name):
    with pytest.raises(InvalidInput, match="a curve needs two values"):
        parse_values(get_method("mult_vae"), name, [], QUICK)


@pytest.mark.parametrize(
    ("method", "setting", "texts", "words"),
    [
        ("mult_vae", "betta", ["1", "2"], ["betta", "beta", "keep_probability", "learning_rate"]),
        ("ease", "beta", ["1", "2"], ["beta", "l2"]),
        ("popularity", "l2", ["1", "2"], ["popularity", "none"]),
        ("mult_vae", "beta", ["1", "much"], ["beta", "'much'"]),
        ("mult_vae", "beta", ["1", "-2"], ["beta", "'-2'"]),
        ("mult_vae", "beta", ["1", "inf"], ["beta", "'inf'", "finite"]),
        ("mult_vae", "beta", ["1", "nan"], ["beta", "'nan'"]),
        ("mult_vae", "keep_probability", ["0.5", "1.5"], ["keep_probability", "'1.5'"]),
        ("mult_vae", "hidden", ["10", ""], ["hidden", "''"]),
        ("mult_vae", "beta", ["0.5", ".5"], ["two values", "0.5"]),
        ("no_such", "beta", ["1", "2"], ["no_such", "mult_vae"]),
    ],
)
def test_what_cannot_be_swept_is_one_line_that_names_it(method, setting, texts, words, tmp_path, world):
    with pytest.raises(InvalidInput) as raised:
        run_sweep(world, method, setting, texts, TINY, tmp_path / "run")
    assert all(word in str(raised.value) for word in words)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "setting", "values"),
    [
        ("ease", "l2", ["1", "2"]),
        ("mult_dae", "latent", ["2", "4"]),
        ("mult_vae", "architecture", ["rec_vae", "mult_dae"]),
    ],
)
def test_posteriors_that_do_not_exist_are_refused_before_anything_runs(method, setting, values):
    with pytest.raises(InvalidInput, match="no posteriors"):
        plan_sweep(method, setting, values, QUICK, measure=True, data="x", data_file=None)


@pytest.mark.parametrize("method", [name for name, one in METHODS.items() if one.is_trained])
def test_only_the_setting_differs_between_the_values(method):
    plan = plan_sweep(method, "batch_size", ["7", "8"], QUICK, measure=False, data="x", data_file="x")
    assert {fold for _, fold in plan.fits} == set(range(QUICK.folds))
    base = applied(get_method(method).changes, QUICK.model, QUICK.training)
    for fold in range(QUICK.folds):
        specs = {label: plan.fits[label, fold].spec for label in plan.values}
        assert specs["7"].where == specs["8"].where
        for label, spec in specs.items():
            model, training = applied(dict(spec.settings), spec.where.model, spec.where.training)
            assert model == base[0]
            assert training == base[1].model_copy(update={"batch_size": int(label)})


def test_the_setting_wins_over_what_the_method_fixes():
    plan = plan_sweep("mult_vae_pia", "alignment_weight", ["0", "3"], QUICK, measure=False, data="x", data_file="x")
    weights = {label: dict(task.spec.settings)["alignment_weight"] for (label, _), task in plan.fits.items()}
    assert weights == {"0": 0.0, "3": 3.0}


def test_points_are_those_of_models_fitted_by_hand_on_the_same_folds(world, tmp_path):
    plan, store = plan_for(world, tmp_path, "ease", "l2", ["5", "500", "50"])
    run_here(plan, store)
    curve = read_curve(plan, store, world)
    by_hand = {}
    for point in curve.points:
        values = []
        for split in user_folds(world, 2, rng=derive(0, "folds")):
            model = fit_ease(split.train.matrix, EaseSpec(l2=point.value))
            values.append(evaluate(model.scores, split.test, metrics=["ndcg@100"])["ndcg@100"])
        by_hand[point.label] = np.concatenate(values)
        assert point.per_fold == pytest.approx([one.mean() for one in values], abs=1e-12)
        assert point.ndcg.value == pytest.approx(by_hand[point.label].mean(), abs=1e-12)
        assert point.ndcg.low < point.ndcg.value < point.ndcg.high
        assert point.ndcg.n == len(by_hand[point.label])
    assert [point.value for point in curve.points] == [5.0, 500.0, 50.0]
    assert curve.points[0].difference is None
    for point in curve.points[1:]:
        assert point.difference.difference.value == pytest.approx(
            np.mean(by_hand[point.label] - by_hand["5"]), abs=1e-12
        )
    assert len({point.ndcg.value for point in curve.points}) == 3
    assert not curve.changes_nothing


def test_differences_are_paired_over_users_and_corrected_over_the_points(world, tmp_path):
    plan, store = plan_for(world, tmp_path, "ease", "l2", ["1", "2", "3", "4"])
    rng = np.random.default_rng(0)
    base = rng.uniform(0.2, 0.8, 200)
    shifts = {"1": 0.0, "2": 0.05, "3": 0.0, "4": -0.05}
    ndcg = {label: base + shift + rng.normal(0, 0.01, 200) for label, shift in shifts.items()}
    write_fits(plan, store, ndcg)
    found = {point.label: point.difference for point in read_curve(plan, store, world).points}
    assert found.pop("1") is None
    folds = np.arange(200) % 2
    order = np.argsort(folds, kind="stable")
    alone = [
        compare_paired(
            ndcg[label][order], ndcg["1"][order], strata=folds[order], runs=folds[order], rng=np.random.default_rng(1)
        ).p
        for label in found
    ]
    adjusted = [one.p_adjusted for one in found.values()]
    assert adjusted == pytest.approx(holm(np.array(alone)), abs=0.01)
    assert adjusted == pytest.approx(holm(np.array([one.p for one in found.values()])), abs=1e-12)
    assert {one.family for one in found.values()} == {3}
    assert found["2"].difference.value == pytest.approx(0.05, abs=0.005)
    assert found["4"].difference.value == pytest.approx(-0.05, abs=0.005)
    # Pairing takes the spread of users out: unpaired, the interval would be ten times as long.
    users = found["2"].by_users.interval
    assert users.high - users.low < 0.01


def test_a_setting_without_effect_is_noticed(world, tmp_path):
    plan, store = plan_for(world, tmp_path, "ease", "l2", ["1", "2"])
    same = np.random.default_rng(0).random(40)
    write_fits(plan, store, {"1": same, "2": same})
    curve = read_curve(plan, store, world)
    assert curve.changes_nothing
    assert curve.points[1].difference.verdict == "inconclusive"


def test_a_point_that_still_rises_in_one_fold_says_so(world, tmp_path):
    plan, store = plan_for(world, tmp_path, "ease", "l2", ["1", "2"])
    rng = np.random.default_rng(0)
    write_fits(plan, store, {"1": rng.random(40), "2": rng.random(40)}, rising=("2",))
    assert [point.still_rising for point in read_curve(plan, store, world).points] == [False, True]


def made_up_measures(label, fold):
    masking = "clean" if label == "1" else "own"
    values = {"information.active_units": 10.0 + fold, f"collaboration.{masking}.cosine.global.mass": 0.1 * (fold + 1)}
    if masking == "own":
        values["drift.own.between_draws"] = 0.4 if fold == 0 else None
    content = {name: {"value": value, "low": None, "high": None, "n": 20} for name, value in values.items()}
    return {"about": {"maskings": ["thinned"] + ["own"] * (masking == "own")}, "values": content}


def test_measures_are_means_over_folds_with_students_interval(world, tmp_path):
    plan, store = plan_for(world, tmp_path, "mult_vae", "keep_probability", ["0.5", "1"], measure=True)
    rng = np.random.default_rng(0)
    write_fits(plan, store, {"0.5": rng.random(40), "1": rng.random(40)}, measures=made_up_measures)
    masked, clean = (point.measures for point in read_curve(plan, store, world).points)
    units = masked["active_units"]
    # Two folds at 10 and 11: standard error .5 and the .975 quantile of t with one degree of freedom, 12.706.
    assert (units.value, units.high - units.value, units.n) == pytest.approx((10.5, 12.7062 / 2, 2), abs=1e-4)
    assert masked["global_mass"].value == clean["global_mass"].value == pytest.approx(0.15)
    assert masked["neighbours_kept"] is None, "one fold has none"
    assert clean["neighbours_kept"] is None, "nothing is masked"


@pytest.mark.slow
def test_measured_posteriors_are_those_of_the_fitted_models(world, tmp_path):
    plan, store = plan_for(world, tmp_path, "mult_vae", "latent", ["2", "3"], measure=True)
    run_here(plan, store)
    for point in read_curve(plan, store, world).points:
        assert 0 <= point.measures["active_units"].value <= point.value
        assert 0 <= point.measures["neighbours_kept"].value <= 1
        assert 0 <= point.measures["global_mass"].value <= 1


def test_a_finished_sweep_is_read_from_its_folder_and_one_more_value_costs_only_itself(world, tmp_path):
    plan, store = plan_for(world, tmp_path / "run", "ease", "l2", ["5", "50"])
    run_here(plan, store)
    events, steps = [], []
    curve = run_sweep(
        world, "ease", "l2", ["5", "50"], TINY, tmp_path / "run", on_event=events.append, on_plan=steps.append
    )
    assert steps == [4]
    assert len(events) == 4
    assert all(event.reused for event in events)
    assert [point.label for point in curve.points] == ["5", "50"]
    wider = plan_for(world, tmp_path / "run", "ease", "l2", ["5", "50", "500"])[0]
    assert sum(not store.has(task) for task in wider.tasks) == 2


def test_a_folder_of_somebody_else_or_in_use_is_refused(world, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    with pytest.raises(OutputError, match="not a run folder"):
        run_sweep(world, "ease", "l2", ["5", "50"], TINY, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    with exclusive(tmp_path / "busy"), pytest.raises(OutputError, match="another run"):
        run_sweep(world, "ease", "l2", ["5", "50"], TINY, tmp_path / "busy")
