"""KL and sparsity by user, and EASE's weights."""

import warnings

import numpy as np
import pytest
from scipy import stats

from collabtheory.errors import DataError
from collabtheory.report.style import house_style, new_figure

SETTINGS = ("clean", "masked", "pia")


@pytest.fixture
def portrayed(bare_run, portraits):
    portraits.write_portraits(bare_run.path, n_users=60)
    return bare_run


def test_kl_by_cohort_has_medians_intervals_and_counts_of_the_table(figure, bare_run, portraits):
    sizes = np.array([3] + [7] * 2 + [20] * 9 + [150] * 5)
    kl = np.concatenate([[1.0], [2.0, 4.0], np.arange(9.0), [5.0, 1.0, 3.0, 2.0, 4.0]])
    for setting in ("clean", "pia"):
        users = portraits.users_frame(17, n_items=sizes, kl=kl * (1 if setting == "clean" else 2))
        portraits.write_setting(bare_run.path, setting, users)
    module = figure("per_user_kl")
    cohorts = module.data(bare_run).cohorts.cohorts
    assert [(name, n) for name, n, _ in cohorts] == [("<5", 1), ("5-10", 2), ("11-50", 9), ("100+", 5)]
    medians = [[one.value for one in row] for *_, row in cohorts]
    assert medians == [[1.0, 2.0], [3.0, 6.0], [4.0, 8.0], [3.0, 6.0]]
    # Nine users: the 2nd and the 8th; five: no interval of 95 %.
    assert (cohorts[2][2][0].low, cohorts[2][2][0].high) == (1.0, 7.0)
    assert np.isnan(cohorts[3][2][0].low)


@pytest.mark.parametrize("n", [6, 9, 40, 101])
def test_the_interval_of_a_median_covers_with_at_least_95_percent_and_is_no_longer_than_need_be(figure, n):
    _, low, high = figure("per_user_kl")._median(np.arange(n))
    k = int(low) + 1
    assert int(high) == n - k
    assert 1 - 2 * stats.binom.cdf(k - 1, n, 0.5) >= 0.95
    assert 1 - 2 * stats.binom.cdf(k, n, 0.5) < 0.95


def test_kl_panels_have_the_rank_correlation_of_scipy_and_units(figure, portrayed, drawn):
    from collabtheory.runs.portrait_files import users

    module = figure("per_user_kl")
    data = module.data(portrayed)
    axes = drawn(module, data)
    assert len(axes) == 4
    for panel, ax in zip(data.panels, axes, strict=False):
        table = users(portrayed, panel.setting)
        rho = stats.spearmanr(table["n_items"], table["kl"]).statistic
        assert panel.trend.correlation.value == pytest.approx(rho)
        assert "n = 60" in ax.get_title(loc="left")
        assert "nats" in ax.get_ylabel()
    labels = axes[-1].get_legend_handles_labels()[1]
    assert labels == ["clean inputs", "masked inputs", "masked inputs + PIA"]
    assert any("n = " in label.get_text() for label in axes[-1].get_xticklabels())
    assert "Medians by cohort" in module.describe(data)


def test_sparsity_has_plain_and_partial_correlations_and_leaves_undefined_codes_out(figure, bare_run, portraits):
    rng = np.random.default_rng(1)
    history = rng.permutation(50) + 5
    popularity = history + rng.normal(0.0, 3.0, 50)
    hoyer = np.append(-popularity[:-1] / 100 + 1, np.nan)
    users = portraits.users_frame(50, n_items=history, popularity=popularity, hoyer=hoyer)
    portraits.write_setting(bare_run.path, "masked", users)
    by_history, by_popularity = figure("sparsity_against_familiarity").data(bare_run).panels
    assert len(by_history.trend.x) == 49
    expected = stats.spearmanr(history[:-1], hoyer[:-1]).statistic
    assert by_history.trend.correlation.value == pytest.approx(expected)
    assert by_popularity.trend.correlation.value == pytest.approx(-1.0)
    # Sparsity is a function of popularity, so nothing is left of the history once that is fixed.
    assert np.isnan(by_history.given_other.value)


def test_the_correlation_at_a_fixed_measure_is_that_of_the_residuals_of_the_ranks(figure, portrayed):
    from collabtheory.runs.portrait_files import users

    for panel in figure("sparsity_against_familiarity").data(portrayed).panels:
        table = users(portrayed, panel.setting)
        other = "popularity" if panel.measure == "n_items" else "n_items"
        x, y, z = (stats.rankdata(table[name]) for name in (panel.measure, "hoyer", other))
        line = np.column_stack([np.ones(60), z])
        left = [ranks - line @ np.linalg.lstsq(line, ranks, rcond=None)[0] for ranks in (x, y)]
        assert panel.given_other.value == pytest.approx(stats.pearsonr(*left).statistic)


def test_sparsity_panels_say_what_is_held_fixed(figure, portrayed, drawn):
    module = figure("sparsity_against_familiarity")
    data = module.data(portrayed)
    assert [panel.setting for panel in data.panels] == [*SETTINGS, *SETTINGS]
    axes = drawn(module, data)
    assert "popularity fixed" in axes[0].get_title(loc="left")
    assert "history fixed" in axes[3].get_title(loc="left")
    assert "60 users" in module.describe(data)


@pytest.mark.parametrize("name", ["per_user_kl", "sparsity_against_familiarity"])
@pytest.mark.parametrize(
    "columns",
    [{"kl": 0.0, "hoyer": np.nan}, {"n_items": 5, "popularity": 3.0}, {"kl": 7.0, "hoyer": 0.25}],
)
def test_constant_and_undefined_measures_are_drawn_without_a_warning(figure, bare_run, portraits, name, columns):
    module = figure(name)
    for n in (1, 12):
        portraits.write_setting(bare_run.path, "given", portraits.users_frame(n, **columns))
        data = module.data(bare_run)
        with warnings.catch_warnings(), house_style():
            warnings.simplefilter("error")
            for part in module.panels(data):
                for size in ((4.6, 4.0), (2.4, 2.4)):
                    canvas, (ax,) = new_figure(1, size)
                    module.draw(part, ax)
                    canvas.draw_without_rendering()
        assert "undefined" in module.describe(data)


def test_weights_are_drawn_as_they_were_counted(figure, bare_run, portraits, drawn):
    portraits.write_weights(bare_run.path, n_items_all=40)
    module = figure("item_weights")
    data = module.data(bare_run)
    (ax,) = drawn(module, data)
    shown = [patch.get_data().values for patch in ax.patches if not patch.get_fill()]
    np.testing.assert_array_equal(shown, [[40, 8, 1], [50, np.nan, np.nan]])
    assert ax.get_title(loc="left") == "negative: 49.0 % of weights, 20.0 % of their sizes' sum"
    assert ax.get_legend_handles_labels()[1] == ["positive weights", "negative weights"]
    assert ax.texts[0].get_text() == "the 11 items of 40 with the most users, l2 = 500\n3 below 1.0e-03"
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert "102 weights" in module.describe(data)


def test_weights_that_are_all_zero_are_said_to_be(figure, bare_run, portraits, drawn):
    nothing = {"positive": [0, 0, 0], "negative": [0, 0, 0], "below": 110, "share_negative": 0.0, "mass_negative": 0.0}
    portraits.write_weights(bare_run.path, **nothing)
    module = figure("item_weights")
    (ax,) = drawn(module, module.data(bare_run))
    assert "all weights are zero" in [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("changes", [{"edges": [0.1, 1.0]}, {"negative": [1]}])
def test_counts_that_do_not_fit_their_bins_are_refused(figure, bare_run, portraits, changes):
    portraits.write_weights(bare_run.path, **changes)
    with pytest.raises(DataError, match="do not fit"):
        figure("item_weights").data(bare_run)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("per_user_kl", "no portraits"),
        ("sparsity_against_familiarity", "no portraits"),
        ("item_weights", "no weights of EASE"),
    ],
)
def test_a_run_without_the_data_is_refused(figure, bare_run, name, says):
    with pytest.raises(DataError, match=says):
        figure(name).data(bare_run)
