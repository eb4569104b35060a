"""The masking law, the beta ladder, drift and the compromise gap, from small hand-made files."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from collabtheory.errors import DataError
from collabtheory.runs.folder import RunFolder

RHO = 0.5


def write(run, name, frame):
    path = run.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False)


def pair_rows(deltas, shared, users, sampling="sampled"):
    n = len(deltas)
    return pd.DataFrame(
        {
            "u": users,
            "v": np.arange(n) + 100,
            "sampling": sampling if isinstance(sampling, list) else [sampling] * n,
            "input_distance": deltas,
            "shared_items": shared,
            "jaccard": np.array(shared) / (np.array(deltas) + np.array(shared)),
        }
    )


def law_rows(rhos=(0.3, RHO), sides=(1, 2, 4, 8, 16, 32, 64)):
    """A smooth stand-in for the law: what is drawn is what is stored."""
    rows = []
    for rho in rhos:
        for delta in sides:
            for shared in (0, *sides):
                mean = rho * delta + 2 * rho * (1 - rho) * shared
                speaks = 0.8 * delta <= mean
                tail = 1 / (1 + np.exp((mean - 0.8 * delta) / 2))
                rows.append(
                    {
                        "keep_probability": rho,
                        "delta": delta,
                        "s": shared,
                        "contracts": 1 / (1 + np.exp((mean - delta) / 2)),
                        "expands": 0.0,
                        "mean": mean,
                        "tail": tail,
                        "hoeffding": min(1.0, 3 * tail) if speaks else np.nan,
                        "chernoff": min(1.0, 2 * tail) if speaks else np.nan,
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture
def run(make_run):
    """A run of one stage whose files are written by the test."""
    return make_run(seeds=(0,), stages=("trained",), n_pairs=20, with_pairs=False)


@pytest.fixture
def masked(run):
    """Return a function that gives the run a masking law and these pairs."""

    def make(pairs, keep_probability=RHO):
        meta = {**run.meta, "settings": {"model": {"keep_probability": keep_probability}}}
        (run.path / "run.json").write_text(json.dumps(meta), encoding="utf-8")
        write(run, "laws/masking/masking_grid.parquet", law_rows())
        run.pairs_path(0, "trained").parent.mkdir(parents=True, exist_ok=True)
        pairs.to_parquet(run.pairs_path(0, "trained"), index=False)
        return RunFolder(run.path)

    return make


def test_masking_pushes_apart_pairs_above_the_border_alone(figure, masked):
    # At rho = 1/2 the border is delta = s: one of these four lies beyond it, and one on it.
    pairs = pair_rows([10, 4, 4, 9], [2, 9, 4, 1], [0, 0, 1, 1])
    sides = figure("masking_law").data(masked(pairs)).sides
    at = int(np.argmin(np.abs(sides.keep_probabilities - RHO)))
    assert sides.pairs[at] == 0.25
    assert sides.own == RHO
    assert (np.diff(sides.pairs) >= 0).all()
    assert sides.pairs[-1] == 0.5  # near rho = 1 the border is delta = 2 s: the pair on the border is beyond it


def test_neighbours_are_the_most_similar_of_each_user_whatever_way_they_were_drawn(figure, masked):
    module = figure("masking_law")
    shared = list(range(1, 9))
    pairs = pair_rows([10] * 8 + [5, 6], [*shared, 5, 6], [0] * 8 + [1, 1], ["sampled"] * 4 + ["nearest"] * 6)
    found = module.data(masked(pairs)).map
    assert (found.n_pairs, found.n_neighbours) == (4, module.NEIGHBOURS + 2)
    assert sorted(found.neighbours[:, 1]) == [4, 5, 5, 6, 6, 7, 8]


def test_the_map_is_that_of_the_models_own_keep_probability(figure, masked, drawn):
    module = figure("masking_law")
    data = module.data(masked(pair_rows([10, 20], [3, 30], [0, 1]), keep_probability=0.31))
    assert data.map.keep_probability == data.cut.keep_probability == 0.3
    stored = law_rows().set_index(["keep_probability", "delta", "s"])
    j, i = list(data.map.delta).index(8), list(data.map.shared).index(16)
    assert data.map.contracts[i, j] == stored.loc[(0.3, 8, 16), "contracts"]
    assert data.cut.delta == 16  # nearest to the median of 10 and 20 in the logarithm
    assert data.cut.exact[0] == stored.loc[(0.3, 16, 0), "tail"]
    ax = drawn(module, data)[0]
    border = next(line for line in ax.lines if "border" in line.get_label())
    x, y = border.get_data()
    assert y == pytest.approx(np.asarray(x) / (2 * 0.3))


def test_users_with_equal_items_have_no_place_on_the_map(figure, masked):
    module = figure("masking_law")
    assert module.data(masked(pair_rows([0, 5], [3, 3], [0, 1]))).map.n_pairs == 1
    with pytest.raises(DataError, match="no pair of users with different items"):
        module.data(masked(pair_rows([0], [3], [0])))


@pytest.mark.parametrize("name", ["masking_law", "beta_ladder", "drift", "compromise_gap"])
def test_a_run_without_the_files_is_refused_in_one_line(figure, run, name):
    with pytest.raises(DataError, match=r"has no .*is missing"):
        figure(name).data(run)


def ladder_rows(values, quantities):
    rows = [
        (value, name, middle, middle * 0.9, middle * 1.1, 40)
        for name, middles in quantities.items()
        for value, middle in zip(values, middles, strict=True)
        if middle is not None
    ]
    return pd.DataFrame(rows, columns=["value", "quantity", "middle", "low", "high", "n"])


def test_the_beta_ladder_shows_every_quantity_with_its_unit_and_count(figure, run, drawn):
    rows = ladder_rows(
        [5.0, 0.2, 1.0],
        {
            "contraction": [0.2, 1.0, 0.5],
            "kl": [1.0, 20.0, 5.0],
            "information": [0.5, 4.0, 2.0],
            "active_units": [8.0, 32.0, 31.0],
            "ndcg": [0.3, 0.4, 0.41],
        },
    )
    write(run, "ladders/beta/ladder.parquet", rows)
    module = figure("beta_ladder")
    data = module.data(run)
    assert data.rungs[0].betas.tolist() == [0.2, 1.0, 5.0]
    assert data.rungs[0].lines[0].middle.tolist() == [1.0, 0.5, 0.2]
    assert [line.label for line in data.rungs[1].lines] == ["KL to the prior", "information on the user"]
    axes = drawn(module, data)
    assert [ax.get_ylabel() for ax in axes][1:] == ["nats a user", "latent dimensions", "nDCG@100"]
    assert all("40" in ax.get_title(loc="left") for ax in axes)
    assert "active units from 32.00 to 8.000" in module.describe(data)


def test_a_ladder_with_one_model_or_nothing_known_is_refused(figure, run):
    write(run, "ladders/beta/ladder.parquet", ladder_rows([0.2], {"kl": [1.0]}))
    with pytest.raises(DataError, match="fewer than two"):
        figure("beta_ladder").data(run)
    write(run, "ladders/beta/ladder.parquet", ladder_rows([0.2, 1.0], {"other": [1.0, 2.0]}))
    with pytest.raises(DataError, match="holds none"):
        figure("beta_ladder").data(run)


def test_a_quantity_that_is_undefined_at_one_beta_is_drawn_at_the_others(figure, run, drawn):
    write(run, "ladders/beta/ladder.parquet", ladder_rows([0.2, 1.0], {"kl": [np.nan, np.nan], "ndcg": [0.2, None]}))
    module = figure("beta_ladder")
    data = module.data(run)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(drawn(module, data)) == 2
    assert "undefined" in module.describe(data)


def test_a_quantity_that_is_zero_at_every_beta_has_an_axis(figure, run, drawn):
    write(run, "ladders/beta/ladder.parquet", ladder_rows([0.2, 1.0], {"kl": [0.0, 0.0]}))
    module = figure("beta_ladder")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (ax,) = drawn(module, module.data(run))
    assert ax.get_ylim() == (-0.03, 1.1)


def stabilised(run, parts, numbers):
    record = parts.record("proposition_3_2", "Stabilisation", "supported", 4, 4, None, stage="ladder", seed=0)
    record["numbers"] = {name: parts.number(value, value / 2, value * 2, 4) for name, value in numbers.items()}
    parts.write_lines(run.path / "claims.jsonl", [record])
    return RunFolder(run.path)


def test_measured_ratios_stand_beside_their_own_bounds(figure, run, parts, drawn):
    numbers = {
        "tau_squared_at_0.5": 0.25, "variance_ratio_at_0.5": 0.1, "tau_at_0.5": 0.5, "distance_ratio_at_0.5": 0.75,
        "tau_squared_at_10": 0.01, "variance_ratio_at_10": 0.002,
    }  # fmt: skip
    module = figure("drift")
    data = module.data(stabilised(run, parts, numbers))
    (stabilisation,) = data.parts
    found = [(one.weight, module.RATIOS[one.kind][1], one.bound[0], one.measured[0]) for one in stabilisation.ratios]
    assert found == [
        (0.5, "variance_ratio", 0.25, 0.1),
        (0.5, "distance_ratio", 0.5, 0.75),
        (10.0, "variance_ratio", 0.01, 0.002),
    ]
    (ax,) = drawn(module, data)
    identity = next(line for line in ax.lines if line.get_label() == "measured = bound")
    assert list(identity.get_xdata()) == list(identity.get_ydata())
    marks = {(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if line.get_linestyle() == "None"}
    assert marks == {(0.25, 0.1), (0.5, 0.75), (0.01, 0.002)}


def test_a_model_without_masks_has_no_drift_of_its_own_but_one_at_half(figure, run, drawn):
    rows = ladder_rows([0.5, 1.0], {"kept": [0.4, None], "kept_at_half": [0.4, 0.3]})
    write(run, "ladders/keep/ladder.parquet", rows)
    module = figure("drift")
    data = module.data(run)
    (kept,) = data.parts
    assert {name: rows["value"].tolist() for name, rows in kept.rows.items()} == {
        "kept": [0.5],
        "kept_at_half": [0.5, 1.0],
    }
    (ax,) = drawn(module, data)
    assert "n\u00a0=\u00a040 users" in ax.get_title(loc="left")


def gap_rows(likelihood, overlaps, deltas, gaps):
    gaps = np.array(gaps, dtype=float)
    return pd.DataFrame(
        {
            "u": np.arange(len(gaps)),
            "v": np.arange(len(gaps)) + 50,
            "likelihood": likelihood,
            "log_overlap": np.log(overlaps),
            "delta": deltas,
            "gap": gaps,
            "standard_error": gaps * 0.01,
            "lower": gaps * 0.5,
            "upper": gaps * 2.0,
            "full": 1.0,
        }
    )


def test_gaps_keep_their_overlap_and_class_of_mismatch_and_bounds_are_medians(figure, run, drawn):
    overlaps, deltas = [0.9] * 5 + [1e-12], [1, 2, 30, 40, 60, 60]
    frame = pd.concat(
        [gap_rows(name, overlaps, deltas, [1.0, 2.0, 3.0, 4.0, 5.0, 1e-12]) for name in ("bernoulli", "gaussian")]
    )
    write(run, "laws/compromise/trained/compromise.parquet", frame)
    module = figure("compromise_gap")
    data = module.data(run)
    first = data.overlaps[0]
    assert (first.likelihood, first.n_pairs, first.n_apart) == ("bernoulli", 6, 1)
    assert first.borders == (30, 40)
    assert first.tercile.tolist() == [0, 0, 0, 1, 2]
    assert (first.lower.tolist(), first.upper.tolist()) == ([1.5], [6.0])
    assert data.training.by_stage["trained"] == pytest.approx(sorted(overlaps))
    axes = drawn(module, data)
    assert len(axes) == 4
    assert axes[0].get_title(loc="left") == "Bernoulli, n\u00a0=\u00a05"
    assert "nats" in axes[0].get_ylabel()


def test_content_mismatch_is_shown_at_the_stage_that_overlaps_most(figure, make_run):
    run = make_run(seeds=(0,), stages=("initial", "trained"), n_pairs=20, with_pairs=False)
    for stage, overlap in (("initial", 0.9), ("trained", 1e-3)):
        frame = gap_rows("poisson", [overlap] * 8, [10] * 8, np.arange(1.0, 9.0))
        write(run, f"laws/compromise/{stage}/compromise.parquet", frame)
    mismatch = figure("compromise_gap").data(run).mismatch
    assert (mismatch.stage, mismatch.n_pairs) == ("initial", 8)
    delta, gap, lower, upper = mismatch.by_likelihood["poisson"]
    assert (delta.tolist(), gap.tolist(), lower.tolist(), upper.tolist()) == ([10.0], [4.5], [2.25], [9.0])


def test_posteriors_that_nowhere_overlap_are_drawn_without_a_warning(figure, run, drawn):
    write(run, "laws/compromise/trained/compromise.parquet", gap_rows("gaussian", [1e-200] * 3, [4, 5, 6], [0.0] * 3))
    module = figure("compromise_gap")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = module.data(run)
        assert len(drawn(module, data)) == 3
        assert "undefined (gaussian)" in module.describe(data)
