"""Tightness of inequalities and coverage of premises."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest

from collabtheory.errors import DataError


def sides(statement, part, left, right, stage="trained"):
    n = len(left)
    return pd.DataFrame(
        {
            "id": statement, "stage": [stage] * n, "seed": [0] * n, "part": part, "text": f"{part} <= bound",
            "left": np.array(left, dtype=float), "right": np.array(right, dtype=float),
        }
    )  # fmt: skip


@pytest.fixture
def bounded(run_of, parts):
    """Return a function that opens a run with these sides of inequalities."""

    def make(*frames):
        names = dict.fromkeys(name for frame in frames for name in frame["id"])
        run = run_of([parts.record(name, name, "holds", 1, 1, 0.0, stage="trained") for name in reversed(names)])
        pd.concat(frames).to_parquet(run.path / "bounds.parquet", index=False)
        return run

    return make


def test_ratios_are_left_over_right_in_the_order_of_the_statements(figure, bounded, drawn):
    module = figure("tightness")
    run = bounded(
        sides("lemma_2_4", "clean", [1.0, 2.0, 3.0], [2.0, 4.0, 30.0]),
        sides("theorem_2_3", "gradient_gap", [1.0, 0.0, -3.0], [4.0, 4.0, 4.0]),
    )
    data = module.data(run)
    assert [one.statement for one in data.bounds] == ["theorem_2_3", "lemma_2_4"]
    assert [one.ratio.tolist() for one in data.bounds] == [[0.25], [0.5, 0.5, 0.1]]
    assert [one.n_cases for one in data.bounds] == [3, 3]
    assert module.describe(data).endswith("Theorem 2.3 0.2500; Lemma 2.4 0.5000.")
    scatter, ratios = drawn(module, data)
    assert scatter.get_title(loc="left") == "Both sides, 4 of 6 cases"
    assert [label.get_text() for label in ratios.get_yticklabels()] == ["Theorem 2.3", "Lemma 2.4"]
    shown = {tuple(map(float, point)) for part in scatter.collections for point in np.atleast_2d(part.get_offsets())}
    assert {(4.0, 1.0), (2.0, 1.0), (4.0, 2.0), (30.0, 3.0)} <= shown


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([1e-12, 3e-13, 2e-9], [1e-8, 1e-8, 1e-8]),  # rounding errors against a tolerance
        ([-1.0, -2.0, -3.0], [-5e-324] * 3),  # a sign against zero
        ([1.9, 1.9, 1.9], [2.0, 2.1, 2.0]),  # a fixed threshold
        ([math.nan, math.inf, 0.0], [1.0, math.inf, 1.0]),
    ],
)
def test_what_bounds_no_quantity_is_left_out(figure, bounded, left, right):
    module = figure("tightness")
    kept = sides("lemma_2_4", "clean", [1.0], [2.0])
    data = module.data(bounded(sides("theorem_2_3", "part", left, right), kept))
    assert [one.part for one in data.bounds] == ["clean"]
    with pytest.raises(DataError, match="no case with two positive sides"):
        module.data(bounded(sides("theorem_2_3", "part", left, right)))


def test_a_bound_far_above_is_marked_hollow_at_the_edge(figure, bounded, drawn):
    module = figure("tightness")
    run = bounded(sides("theorem_2_5", "decoder_pays", [1e-3, 2e-3, 5e-3], [1e20] * 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, ratios = drawn(module, module.data(run))
    mark = next(line for line in ratios.lines if line.get_linestyle() == "None" and len(line.get_xdata()) == 1)
    assert mark.get_markerfacecolor() == "white"
    assert ratios.get_xlim()[0] <= mark.get_xdata()[0] < 2 * module.LEAST_RATIO


def test_a_ladder_of_settings_comes_after_the_stages_of_training(figure, bounded):
    run = bounded(*(sides("beta_kl", "pairs", [1.0], [2.0], stage) for stage in ("ladder", "trained", "initial")))
    assert [one.stage for one in figure("tightness").data(run).bounds] == ["initial", "trained", "ladder"]


def covered(parts, statement, stage, met, tried, **inner):
    record = parts.record(statement, statement, "holds", met, tried, 0.0, stage=stage, seed=0)
    record["parts"] = [{"name": name, "coverage": {"met": a, "tried": b}} for name, (a, b) in inner.items()]
    return record


def test_coverage_sums_seeds_and_leaves_made_up_cases_and_controls_out(figure, run_of, parts):
    records = [
        covered(parts, "theorem_2_3", "trained", 1, 10, radius=(1, 10), gap=(10, 10)),
        {**covered(parts, "theorem_2_3", "trained", 0, 30, radius=(0, 30)), "seed": 1},
        covered(parts, "theorem_2_3", "proof", 4, 4),
        covered(parts, "theorem_2_3", "search", 4, 4),
        covered(parts, "theorem_2_3", None, 4, 4),
        parts.control("theorem_2_3", "twin", "false", stage="trained"),
    ]
    data = figure("premise_coverage").data(run_of(records))
    found = {one.part: (one.met, one.tried) for one in data.shares}
    assert found == {"": (1, 40), "radius": (1, 40), "gap": (10, 10)}
    assert (data.statements, data.stages) == (("theorem_2_3",), ("trained",))


def test_what_nobody_meets_is_said_and_drawn_at_zero(figure, run_of, parts, drawn):
    module = figure("premise_coverage")
    records = [
        covered(parts, "theorem_2_3", "initial", 1, 10_000, radius=(0, 10)),
        covered(parts, "theorem_2_3", "trained", 0, 10_000),
        covered(parts, "lemma_2_4", "trained", 5, 5),
    ]
    data = module.data(run_of(records))
    words = module.describe(data)
    assert "Met by nobody: Theorem 2.3 (trained)." in words
    assert "fewer than half: Theorem 2.3 0.010 % (initial)" in words
    assert "Of 1 parts and stages, 1 are met by nobody and 0 by all" in words
    (ax,) = drawn(module, data)
    marks = sorted(line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1)
    assert marks == [0.0, 0.0, 1e-4, 1.0]
    assert ax.get_xlim()[0] < 0.0 < 1e-4 < 1.0 < ax.get_xlim()[1]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Theorem 2.3", "Lemma 2.4"]


def test_statements_without_any_case_on_a_model_are_refused(figure, run_of, parts):
    records = [covered(parts, "theorem_2_3", "proof", 1, 1), covered(parts, "lemma_2_4", "trained", 0, 0)]
    with pytest.raises(DataError, match="no statement that was checked on a model"):
        figure("premise_coverage").data(run_of(records))


def test_a_run_without_sides_of_inequalities_is_refused(figure, run_of, parts):
    with pytest.raises(DataError, match=r"bounds\.parquet is missing"):
        figure("tightness").data(run_of([covered(parts, "lemma_2_4", "trained", 1, 1)]))
