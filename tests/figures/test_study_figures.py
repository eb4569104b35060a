"""Accuracy, paired differences, cohorts, performance profiles and sensitivity."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from collabtheory.errors import DataError
from collabtheory.runs.folder import RunFolder

STUDIES = Path(__file__).parents[1] / "report" / "studies"
FIGURES = Path(__file__).parents[2] / "figures"


@pytest.fixture
def content():
    return json.loads((STUDIES / "ml-1m.json").read_text("utf-8"))


@pytest.fixture
def studied(tmp_path):
    """Return a function that opens a run that published this study."""

    def make(content, users=None):
        (tmp_path / "claims.jsonl").touch()
        (tmp_path / "study.json").write_text(json.dumps(content), encoding="utf-8")
        if users is not None:
            users.to_parquet(tmp_path / "study_users.parquet", index=False)
        return RunFolder(tmp_path)

    return make


def method(name, ndcg, **more):
    mean = {"value": ndcg, "low": ndcg - 0.01, "high": ndcg + 0.01, "n": 40}
    return {"name": name, "title": name.upper(), "metrics": {"ndcg@100": mean}, **more}


def test_models_come_best_first_with_their_intervals(figure, content, studied, drawn):
    rising = method("b", 0.4, converged=False)
    run = studied({**content, "methods": [method("a", 0.3), rising, method("c", 0.35)], "comparisons": []})
    module = figure("accuracy")
    data = module.data(run)
    (part,) = data.parts  # no recall, no panel of recall
    assert [model.title for model in part.models] == ["B", "C", "A"]
    assert [(one.value, one.low) for one in part.values[0]] == [(0.4, 0.39), (0.35, 0.33999999999999997), (0.3, 0.29)]
    (ax,) = drawn(module, data)
    marks = {line.get_xdata()[0]: line.get_markerfacecolor() for line in ax.lines if len(line.get_xdata()) == 1}
    assert marks[0.4] == "white"
    assert marks[0.35] != "white"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["B", "C", "A"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the best is at the top
    assert ax.get_title(loc="left") == "ml-1m, 40 users"
    assert "B 0.4000 [0.3900, 0.4100]" in module.describe(data)


def test_every_comparison_over_all_users_has_a_row_and_its_own_interval(figure, content, studied, drawn):
    module = figure("paired_differences")
    data = module.data(studied(content))
    expected = [one for one in content["comparisons"] if one["metric"] == "ndcg@100" and one.get("cohort") is None]
    assert sum(len(part.rows) for part in data.parts) == len(expected)
    assert max(len(part.rows) for part in data.parts) <= module.MOST_ROWS
    axes = drawn(module, data)
    marks = sorted(line.get_xdata()[0] for ax in axes for line in ax.lines if len(line.get_xdata()) == 1)
    assert marks == pytest.approx(sorted(one["difference"]["value"] for one in expected))
    assert len({ax.get_xlim() for ax in axes}) == 1
    filled = [line.get_markerfacecolor() != "white" for ax in axes for line in ax.lines if len(line.get_xdata()) == 1]
    assert sum(filled) == sum(one["verdict"] != "inconclusive" for one in expected)


def test_words_of_rows_stay_clear_of_each_other_and_of_marks(figure, content, studied, drawn):
    module = figure("paired_differences")
    for ax in drawn(module, module.data(studied(content))):
        tops = [text.get_position()[1] for text in ax.texts]
        lines = [text.get_text().count("\n") + 1 for text in ax.texts]
        places = [line.get_ydata()[0] for line in ax.lines if len(line.get_ydata()) == 1]
        assert all(top + n < place for top, n, place in zip(tops, lines, places, strict=True))


def test_cohorts_come_from_short_to_long_histories(figure, content, studied, drawn):
    mean = {"value": 0.2, "low": 0.1, "high": 0.3, "n": 7}
    cohorts = {name: {"ndcg@100": mean} for name in ("100+", "<5", "5-10")}
    comparison = {
        "claim": "E5", "first": "a", "second": "b", "metric": "ndcg@100", "cohort": "5-10", "verdict": "supported",
        "difference": {"value": 0.05, "low": 0.01, "high": 0.09, "n": 7},
    }  # fmt: skip
    other = {**comparison, "cohort": "<5", "verdict": "inconclusive"}
    methods = [method("a", 0.3, cohorts=cohorts), method("b", 0.2, cohorts={"100+": {"ndcg@100": mean}})]
    module = figure("cohorts")
    data = module.data(studied({**content, "methods": methods, "comparisons": [comparison, other]}))
    levels, gains = data.parts
    assert levels.cohorts == ("<5", "5-10", "100+")
    assert levels.values[1][0] is None
    assert (gains.cohorts, gains.decided, gains.title) == (("<5", "5-10"), (False, True), "A − B")
    axes = drawn(module, data)
    assert [label.get_text() for label in axes[1].get_xticklabels()] == ["<5\nn = 7", "5-10\nn = 7"]


def test_profiles_are_the_shares_of_users_within_a_factor_of_the_best(figure):
    module = figure("performance_profiles")
    frame = pd.DataFrame({"a": [0.4, 0.2, 0.0, 0.3], "b": [0.2, 0.2, 0.0, 0.0], "c": [0.3, 0.1, 0.0, 0.1]})
    found = module.profiles(frame, ["a", "b"], ["A", "B"], "toy")
    assert (found.n_users, found.n_unserved, found.n_methods) == (3, 1, 3)

    def shares(tau):
        return found.shares[:, np.searchsorted(found.factors, tau * (1 + 1e-9), side="right") - 1]

    assert shares(1.0) == pytest.approx([1.0, 1 / 3])  # a tie at the best counts for both
    assert shares(1.9) == pytest.approx([1.0, 1 / 3])
    assert found.shares[:, -1] == pytest.approx([1.0, 2 / 3])  # a user whom b fails never comes within a factor
    assert (np.diff(found.shares, axis=1) >= 0).all()


def test_profiles_need_the_accuracy_of_single_users(figure, content, studied, drawn):
    module = figure("performance_profiles")
    two = {**content, "methods": [method("a", 0.3), method("b", 0.2)], "comparisons": []}
    with pytest.raises(DataError, match="no accuracy of single users"):
        module.data(studied(two))
    users = pd.DataFrame({"fold": [0, 0], "row": [1, 2], "n_items": [5, 9], "a": [0.3, 0.0], "b": [0.1, 0.2]})
    data = module.data(studied(two, users))
    (ax,) = drawn(module, data)
    assert ax.get_title(loc="left") == "ml-1m, n\u00a0=\u00a02 users, best of 2 models"
    assert "A 50.0 % (best)" in module.describe(data)
    with pytest.raises(DataError, match="fewer than two"):
        module.data(studied(two, users.drop(columns=["b"])))
    with pytest.raises(DataError, match="no model ranks"):
        module.data(studied(two, users.assign(a=0.0, b=0.0)))


def sweep(values, **more):
    points = [
        {
            "value": value,
            "ndcg@100": {"value": 0.3 + 0.01 * k, "low": 0.28, "high": 0.36, "n": 50},
            "per_fold": [0.29, 0.31 + 0.01 * k],
            "measures": {},
            "still_rising": k == 1,
            "difference_from_first": None if k == 0 else {"value": 0.01 * k, "low": -0.01, "high": 0.05, "n": 50},
        }
        for k, value in enumerate(values)
    ]
    base = {"data": {"name": "toy"}, "title": "Mult-VAE", "setting": "alignment_weight", "points": points}
    return {**base, "protocol": {"metric": "ndcg@100"}, **more}


def open_sweep(folder, content):
    (folder / "sweep.json").write_text(json.dumps(content), encoding="utf-8")
    return RunFolder(folder)


def test_a_folder_of_a_sweep_is_drawn_with_folds_and_differences(figure, tmp_path, drawn):
    module = figure("sensitivity")
    data = module.data(open_sweep(tmp_path, sweep([0, 0.1, 10])))
    accuracy, difference = data.curves
    assert accuracy.middle == pytest.approx([0.3, 0.31, 0.32])
    assert accuracy.folds.tolist() == [[0.29, 0.29, 0.29], [0.31, 0.32, 0.33]]
    assert difference.middle == pytest.approx([0.0, 0.01, 0.02])
    axes = drawn(module, data)
    assert [ax.get_xscale() for ax in axes] == ["symlog", "symlog"]
    assert axes[0].get_title(loc="left") == "toy, Mult-VAE, n\u00a0=\u00a050 users"
    hollow = [line for line in axes[0].lines if line.get_markerfacecolor() == "white" and len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in hollow] == [0.1]


@pytest.mark.parametrize(
    ("values", "scale", "labels"),
    [
        ([1, 2, 3], "linear", ["1", "2", "3"]),
        ([0.01, 0.1, 1], "log", ["0.01", "0.1", "1"]),
        ([[200], [600, 200]], "linear", ["200", "600, 200"]),
        (["own", "others"], "linear", ["own", "others"]),
    ],
)
def test_the_axis_of_a_setting_fits_its_values(figure, tmp_path, drawn, values, scale, labels):
    module = figure("sensitivity")
    ax = drawn(module, module.data(open_sweep(tmp_path, sweep(values))))[0]
    assert ax.get_xscale() == scale
    assert [label.get_text() for label in ax.get_xticklabels()] == labels


def test_a_damaged_sweep_is_refused_and_a_ladder_stands_in_where_there_is_none(figure, tmp_path, make_run):
    module = figure("sensitivity")
    with pytest.raises(DataError, match="not the result of a sweep"):
        module.data(open_sweep(tmp_path, {"points": []}))
    run = make_run(seeds=(), stages=())
    with pytest.raises(DataError, match="no ladder"):
        module.data(run)
    rows = pd.DataFrame(
        [(1.0, "ndcg", 0.4, 0.3, 0.5, 9), (0.2, "ndcg", 0.3, 0.2, 0.4, 9), (1.0, "kl", 3.0, 3.0, 3.0, 9)],
        columns=["value", "quantity", "middle", "low", "high", "n"],
    )
    (run.path / "ladders" / "beta").mkdir(parents=True)
    rows.to_parquet(run.path / "ladders" / "beta" / "ladder.parquet", index=False)
    (curve,) = module.data(run).curves
    assert (curve.labels, curve.middle.tolist(), curve.n) == (("0.2", "1"), [0.3, 0.4], 9)


@pytest.mark.parametrize("name", ["accuracy", "paired_differences", "cohorts", "performance_profiles"])
def test_a_run_without_a_study_is_refused(figure, make_run, name):
    with pytest.raises(DataError, match=r"study\.json is missing"):
        figure(name).data(make_run(seeds=(), stages=()))


def test_real_studies_are_drawn_without_a_warning(figure, tmp_path, drawn):
    (tmp_path / "claims.jsonl").touch()
    shutil.copy(STUDIES / "ml-100k.json", tmp_path / "study.json")
    run = RunFolder(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("accuracy", "cohorts"):
            module = figure(name)
            assert drawn(module, module.data(run))


def test_none_of_these_figures_loads_torch():
    names = [
        "masking_law", "beta_ladder", "drift", "compromise_gap", "tightness", "premise_coverage", "accuracy",
        "paired_differences", "cohorts", "performance_profiles", "sensitivity",
    ]  # fmt: skip
    code = (
        "import sys; from collabtheory.report.figure_files import load_figure\n"
        f"for name in {names!r}: load_figure({str(FIGURES)!r} + '/' + name + '.py')\n"
        "assert 'torch' not in sys.modules, 'torch was loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FIGURES.parent)
