"""What a sweep leaves behind: table, JSON, figure; on made-up curves."""

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from collabtheory.data.planted import PlantedWorld, generate
from collabtheory.report import style
from collabtheory.report.sweep_figure import draw, panels, write_figure
from collabtheory.report.sweep_output import print_sweep, sweep_table, write_sweep
from collabtheory.stats import Estimate, compare_paired, with_holm
from collabtheory.studies.methods import get_method
from collabtheory.studies.profiles import get_study_profile
from collabtheory.studies.sweep import Curve, Point


@pytest.fixture(scope="module")
def world():
    return generate(PlantedWorld(n_users=40), 0)


def make_curve(world, values=(0.0, 0.5, 5.0), shifts=(0.0, 0.1, 0.0), *, setting="beta", rising=(), measures=None):
    rng = np.random.default_rng(0)
    base = rng.uniform(0.2, 0.8, 90)
    users = [base + shift + rng.normal(0, 0.02, 90) for shift in shifts]
    found = with_holm([compare_paired(one, users[0], rng=rng, resamples=199) for one in users[1:]])
    points = []
    for number, (value, ndcg) in enumerate(zip(values, users, strict=True)):
        label = (
            ",".join(map(str, value))
            if isinstance(value, tuple)
            else f"{value:g}"
            if not isinstance(value, str)
            else value
        )
        mean = float(ndcg.mean())
        points.append(
            Point(
                value, label, Estimate(mean, mean - 0.03, mean + 0.03, 90), tuple(ndcg.reshape(3, 30).mean(1).tolist()),
                {} if measures is None else measures[number], number in rising, found[number - 1] if number else None,
            )
        )  # fmt: skip
    return Curve(world, get_method("mult_vae"), setting, tuple(points), get_study_profile("quick"), 0, 12.34)


MEASURES = [
    {"active_units": Estimate(30.0, 28.0, 32.0, 3), "neighbours_kept": None, "global_mass": Estimate(0.1, -0.5, 0.7, 3)}
] * 3


def test_table_says_of_each_value_whether_it_is_higher_lower_or_neither(world):
    rows = sweep_table(make_curve(world, shifts=(0.0, 0.1, -0.1))).grid()
    assert [row[6] for row in rows] == ["", "higher", "lower"]
    assert sweep_table(make_curve(world, shifts=(0.0, 0.1, 0.0))).grid()[2][6] == "inconclusive"


@pytest.mark.parametrize(
    ("rising", "expected"), [((1,), ["", "still rising", "inconclusive"]), ((0,), ["still rising"] * 3)]
)
def test_where_training_had_not_ended_nothing_is_decided(world, rising, expected):
    table = sweep_table(make_curve(world, rising=rising))
    assert [row[6] for row in table.grid()] == expected
    assert "nothing is decided" in table.caption


def test_a_setting_that_the_method_does_not_use_is_named(world):
    curve = make_curve(world)
    same = compare_paired(np.arange(9.0), np.arange(9.0), rng=np.random.default_rng(0))
    points = [curve.points[0], *(replace(point, difference=same) for point in curve.points[1:])]
    assert "makes no use of this setting" in sweep_table(replace(curve, points=tuple(points))).caption
    assert "makes no use" not in sweep_table(curve).caption


@pytest.mark.parametrize("width", [80, 120])
def test_print_shows_every_interval_whole(world, width):
    stream = io.StringIO()
    curve = make_curve(world, measures=MEASURES)
    print_sweep(Console(file=stream, width=width), curve)
    text = stream.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for point in curve.points:
        assert f"[{point.ndcg.low:.4f}, {point.ndcg.high:.4f}]" in text
    assert "10.0 %" in text
    assert "n = 90 users" in text


def test_files_hold_the_numbers_in_full_and_are_the_same_when_written_again(world, tmp_path):
    (tmp_path / "store").mkdir()
    curve = make_curve(world, measures=MEASURES)
    paths = write_sweep(tmp_path, curve, command="collabtheory sweep beta 0 0.5 5")
    before = {path: path.read_bytes() for path in paths}
    assert {path.name for path in paths} == {"sweep.json", "sweep.csv", "sweep.tex", "sweep.png", "sweep.svg"}
    content = json.loads(before[tmp_path / "sweep.json"])
    assert content["command"] == "collabtheory sweep beta 0 0.5 5"
    assert content["data"]["fingerprint"] == world.fingerprint
    assert [point["value"] for point in content["points"]] == [0.0, 0.5, 5.0]
    for point, shown in zip(curve.points, content["points"], strict=True):
        assert shown["ndcg@100"]["value"] == pytest.approx(point.ndcg.value, rel=1e-5)
        assert shown["measures"]["neighbours_kept"] is None
    assert content["points"][0]["difference_from_first"] is None
    assert content["points"][1]["difference_from_first"]["p_adjusted"] == pytest.approx(
        curve.points[1].difference.p_adjusted, rel=1e-5
    )
    rows = list(csv.DictReader(io.StringIO(before[tmp_path / "tables" / "sweep.csv"].decode())))
    assert [float(row["beta"]) for row in rows] == [0.0, 0.5, 5.0]
    assert float(rows[1]["Minus 0 low"]) == curve.points[1].difference.difference.low
    assert "booktabs" not in before[tmp_path / "tables" / "sweep.tex"].decode()
    assert r"\toprule" in before[tmp_path / "tables" / "sweep.tex"].decode()
    assert {path: path.read_bytes() for path in write_sweep(tmp_path, curve, command=content["command"])} == before


def test_json_has_no_number_that_json_does_not_know(world, tmp_path):
    (tmp_path / "store").mkdir()
    curve = make_curve(world)
    endless = replace(curve.points[1].difference, effect_size=math.inf)
    points = (curve.points[0], replace(curve.points[1], difference=endless), curve.points[2])
    write_sweep(tmp_path, replace(curve, points=points))
    assert (
        json.loads((tmp_path / "sweep.json").read_text())["points"][1]["difference_from_first"]["effect_size"] is None
    )


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ((0.3, 0.5, 0.7), "linear"),
        ((0.0, 0.1, 0.2), "linear"),
        ((1e-4, 1e-3, 1e-2), "log"),
        ((0.0, 0.05, 5.0), "symlog"),
        (((100,), (200,), (200, 100)), "linear"),
        (("multinomial", "gaussian", "poisson"), "linear"),
    ],
)
def test_axis_is_logarithmic_where_values_span_decades_and_carries_the_values(world, values, scale):
    curve = make_curve(world, values=values)
    with style.house_style():
        figure, axes = style.new_figure(1)
        draw(curve, panels(curve)[0], axes[0])
        figure.canvas.draw()
        shown = [label.get_text() for label in axes[0].get_xticklabels()]
    assert axes[0].get_xscale() == scale
    assert ("log scale" in axes[0].get_xlabel()) == (scale != "linear")
    assert shown == [point.label for point in curve.points]
    low, high = axes[0].get_xlim()
    assert low < min(axes[0].get_xticks()) <= max(axes[0].get_xticks()) < high


def test_labels_that_would_run_into_each_other_are_left_out(world):
    curve = make_curve(world, values=(1000.0, 1001.0, 2000.0))
    with style.house_style():
        _, axes = style.new_figure(1)
        draw(curve, panels(curve)[0], axes[0])
        shown = [label.get_text() for label in axes[0].get_xticklabels()]
    assert shown == ["1000", "", "2000"]


def test_figure_draws_estimates_and_intervals_of_every_panel_that_has_any(world):
    curve = make_curve(world, measures=MEASURES, rising=(2,))
    shown = panels(curve)
    assert [panel.title for panel in shown] == [
        "Accuracy", "Paired difference from 0", "Active units", "Global collaboration",
    ]  # fmt: skip
    with style.house_style():
        _, axes = style.new_figure(len(shown))
        for panel, ax in zip(shown, axes, strict=True):
            draw(curve, panel, ax)
    for panel, ax in zip(shown, axes, strict=True):
        marks = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
        assert [float(mark.get_ydata()[0]) for mark in marks] == [panel.of(point).value for point in curve.points]
        assert [mark.get_markerfacecolor() == "white" for mark in marks] == [False, False, True]
        ends = [segment[:, 1].tolist() for lines in ax.collections for segment in lines.get_segments()]
        assert ends == [[panel.of(point).low, panel.of(point).high] for point in curve.points]
    low, high = axes[3].get_ylim()
    assert -0.05 < low < 0.0, "a share is never drawn far below 0"
    assert 0.7 < high < 1.03


def test_a_figure_without_measures_has_two_panels_and_equal_bytes(world, tmp_path):
    curve = make_curve(world)
    assert len(panels(curve)) == 2
    files = [tmp_path / name for name in ("a.png", "a.svg", "b.png", "b.svg")]
    write_figure(curve, *files[:2])
    write_figure(curve, *files[2:])
    assert files[0].read_bytes() == files[2].read_bytes()
    assert files[1].read_bytes() == files[3].read_bytes()
