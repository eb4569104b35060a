import json

import numpy as np
import pytest

from collabtheory.errors import DataError


def rewrite(run, change):
    """Change every record of a run."""
    path = run.path / "claims.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for record in records:
        change(record)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return type(run)(run.path)


@pytest.fixture
def small(make_run):
    return lambda **options: make_run(**{"seeds": (0, 1), "n_pairs": 200, "with_pairs": False, **options})


def test_coverage_curves_are_the_means_of_the_records(figure, small):
    module = figure("coverage_by_stage")
    run = small()
    sharing, aligned = module.panels(module.data(run))
    assert sharing.stages == aligned.stages == run.stages
    names = [name for name, *_ in module.CURVES]
    for family, statement in ((sharing, "theorem_2_3"), (aligned, "aligned_radius")):
        for name, curve in zip(names, family.curves, strict=True):
            for stage, point in zip(run.stages, curve, strict=True):
                values = [
                    record["numbers"][name]["value"]
                    for record in run.claims
                    if record["id"] == statement and record["stage"] == stage
                ]
                assert point.value == pytest.approx(np.mean(values), abs=1e-15)
                assert (point.low, point.high) == (min(values), max(values))


def test_the_coverage_axis_shows_zero_and_the_smallest_share(figure, small, drawn):
    module = figure("coverage_by_stage")

    def tiny(record):
        if record["id"] == "theorem_2_3" and not record["control"]:
            record["numbers"]["share_inside"]["value"] = 3e-7 if record["stage"] == "initial" else 0.0

    data = module.data(rewrite(small(), tiny))
    assert data.families[0].floor == pytest.approx(1e-7)
    axes = drawn(module, data)
    for ax in axes:
        labels = [label.get_text() for label in ax.get_yticklabels()]
        assert labels[0] == "0 %"
        assert labels[-1] == "100 %"
        low, high = ax.get_ylim()
        assert low < 0.0 < 1.0 < high


def test_coverage_draws_with_one_stage_one_seed_and_nothing_inside(figure, small, drawn):
    def nobody(record):
        for name in list(record["numbers"]):
            if "share" in name:
                record["numbers"][name]["value"] = 0.0

    module = figure("coverage_by_stage")
    run = rewrite(small(seeds=(0,), stages=("trained",)), nobody)
    assert len(drawn(module, module.data(run))) == 2
    assert "0 % after training" in module.describe(module.data(run))


def test_decay_takes_the_mean_and_range_over_seeds(figure, small):
    module = figure("decay_with_distance")
    run = small()
    data = module.data(run)
    summary = module.summarise(data, "spearman_cosine_w2")
    values = [
        record["numbers"]["spearman_cosine_w2"]["value"]
        for record in run.claims
        if record["id"] == "theorem_2_3" and record["stage"] == "epoch_10"
    ]
    assert summary.loc["epoch_10", "value"] == pytest.approx(np.mean(values))
    assert tuple(summary.loc["epoch_10", ["low", "high"]]) == (min(values), max(values))
    drawn = max(one["numbers"]["spearman_cosine_w2"]["n"] for one in run.claims if one["id"] == "theorem_2_3")
    assert (data.n_seeds, data.n_pairs) == (2, drawn)


def test_decay_of_one_seed_keeps_its_own_interval(figure, small):
    module = figure("decay_with_distance")
    run = small(seeds=(0,), stages=("initial",))
    entry = next(one for one in run.claims if one["id"] == "theorem_2_3")["numbers"]["spearman_cosine_w2"]
    summary = module.summarise(module.data(run), "spearman_cosine_w2")
    assert tuple(summary.loc["initial"]) == (entry["value"], entry["low"], entry["high"])


def test_an_interval_is_no_wider_than_a_correlation_can_be(figure, small):
    def widened(record):
        for name in ("spearman_cosine_w2", "partial_spearman_given_jaccard"):
            if name in record["numbers"]:
                record["numbers"][name] |= {"low": -3.5, "high": 3.5}

    module = figure("decay_with_distance")
    data = module.data(rewrite(small(seeds=(0,), stages=("initial",)), widened))
    assert tuple(module.summarise(data, "spearman_cosine_w2").loc["initial", ["low", "high"]]) == (-1.0, 1.0)


def test_an_undefined_correlation_is_written_not_dropped(figure, small, drawn):
    def undefined(record):
        for name in ("spearman_cosine_w2", "partial_spearman_given_jaccard"):
            if record["stage"] == "trained" and name in record["numbers"]:
                record["numbers"][name] |= {"value": None, "low": None, "high": None}

    module = figure("decay_with_distance")
    data = module.data(rewrite(small(), undefined))
    (ax,) = drawn(module, data)
    assert [text.get_text() for text in ax.texts].count("undefined") == 2
    assert "undefined after training" in module.describe(data)


def test_all_correlations_undefined_still_draws(figure, small, drawn):
    def undefined(record):
        for entry in record["numbers"].values():
            entry |= {"value": None, "low": None, "high": None}

    module = figure("decay_with_distance")
    (ax,) = drawn(module, module.data(rewrite(small(stages=("initial",)), undefined)))
    assert len(ax.texts) == 4


def test_training_marks_the_saved_stages_and_averages_seeds(figure, small, drawn):
    module = figure("training_curve")
    run = small()
    data = module.data(run)
    assert data.quantities[0].label == "training loss"
    assert data.quantities[0].marks == ((3, "epoch_3"), (10, "epoch_10"), (40, "trained"))
    loss = data.quantities[0].by_seed
    assert loss.loc[7, 1] == run.history(1).set_index("epoch").loc[7, "train_loss"]
    axes = drawn(module, data)
    thick = [line for line in axes[0].lines if line.get_linewidth() == 2.2]
    assert len(thick) == 1
    assert thick[0].get_ydata()[6] == pytest.approx(loss.loc[7].mean())


def test_training_draws_one_epoch_and_skips_what_was_not_measured(figure, make_run, parts, drawn):
    module = figure("training_curve")
    run = make_run(seeds=(0,), stages=("initial",), n_pairs=10, with_pairs=False)
    parts.write_lines(run.path / "training" / "seed-0.jsonl", [{"epoch": 1, "train_loss": 5.0, "kl": 0.0}])
    data = module.data(run)
    assert [quantity.label for quantity in data.quantities] == ["training loss", "KL to the prior"]
    assert len(drawn(module, data)) == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("coverage_by_stage", "neither theorem_2_3 nor aligned_radius"),
        ("decay_with_distance", "no rank correlation"),
        ("training_curve", "no training history"),
    ],
)
def test_a_run_without_the_data_is_refused_with_the_reason(figure, make_run, name, says):
    with pytest.raises(DataError, match=says):
        figure(name).data(make_run(seeds=(), stages=()))
