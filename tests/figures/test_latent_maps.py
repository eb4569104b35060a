import warnings

import numpy as np
import pytest
from matplotlib.collections import EllipseCollection
from matplotlib.patches import Circle
from scipy.spatial.distance import cdist

from collabtheory.errors import DataError
from collabtheory.report.style import house_style, new_figure

SETTINGS = ("clean", "masked", "pia")


@pytest.fixture
def portrayed(bare_run, portraits):
    """Fifteen users of 1 to 15 interactions, whose radii are zero unless a test says otherwise."""

    def make(settings=SETTINGS, **columns):
        for setting in settings:
            users = portraits.users_frame(15, n_items=np.arange(1, 16))
            none = {"sharing_radius_heuristic": 0.0}
            pairs = portraits.pairs_frame(users["u"].to_numpy(), **{**none, **columns})
            portraits.write_setting(bare_run.path, setting, users, pairs)
        return bare_run

    return make


def test_the_circled_user_of_each_cohort_has_the_largest_certified_radius_then_the_largest_heuristic(
    figure, bare_run, portraits
):
    users = portraits.users_frame(15, n_items=np.arange(1, 16))
    pairs = portraits.pairs_frame(users["u"].to_numpy(), sharing_radius_heuristic=0.0)
    row = (pairs["u"] - 1) // 3
    pairs["sharing_radius"] = np.where((row == 1) & (pairs["v"] == 1), 0.25, 0.0)
    pairs.loc[row == 0, "sharing_radius_heuristic"] = 9.0
    pairs.loc[row == 7, "sharing_radius_heuristic"] = 1.5
    twins = (row == 8) & (pairs["v"] == 1)
    pairs.loc[twins, ["sharing_radius", "input_distance"]] = 5.0, 0  # equal contents: it would sit in any radius
    portraits.write_setting(bare_run.path, "masked", users, pairs)
    (panel,) = figure("latent_maps").data(bare_run).panels
    assert [cohort.rows.tolist() for cohort in panel.cohorts] == [[0, 1, 2], [6, 7, 8], [12, 13, 14]]
    assert [(disc.certified, disc.heuristic) for disc in panel.discs] == [(0.25, 0.0), (0.0, 1.5), (0.0, 0.0)]
    assert (panel.discs[1].x, panel.discs[1].y) == tuple(users.loc[7, ["pca_x", "pca_y"]])
    assert panel.discs[2].x == users.loc[12, "pca_x"]  # nobody has a radius: the first


def test_circles_have_the_radii_and_ellipses_the_covariances(figure, portrayed, drawn):
    module = figure("latent_maps")
    run = portrayed(("masked",), sharing_radius=0.4, sharing_radius_heuristic=1.25)
    data = module.data(run)
    (ax,) = drawn(module, data)
    circles = [(patch.radius, patch.get_linestyle()) for patch in ax.patches if isinstance(patch, Circle)]
    assert sorted(circles) == [(0.4, "-")] * 3 + [(1.25, "--")] * 3
    ellipses = [held for held in ax.collections if isinstance(held, EllipseCollection)]
    turn = np.radians(ellipses[0].get_angles()[0])
    widths, heights = ellipses[0].get_widths()[0], ellipses[0].get_heights()[0]
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    rebuilt = axes @ np.diag([(widths / 2) ** 2, (heights / 2) ** 2]) @ axes.T
    np.testing.assert_allclose(rebuilt, [[0.3, 0.05], [0.05, 0.1]])
    assert sum(len(held.get_offsets()) for held in ellipses) == 9


def test_users_at_one_place_are_drawn_with_their_ellipses(figure, bare_run, portraits, drawn):
    module, users = figure("latent_maps"), portraits.users_frame(15)
    users[["pca_x", "pca_y"]] = 1e-16
    portraits.write_setting(bare_run.path, "clean", users, portraits.pairs_frame(users["u"].to_numpy()))
    (ax,) = drawn(module, module.data(bare_run))
    assert ax.get_xlim()[1] > max(held.get_widths().max() / 2 for held in ax.collections if hasattr(held, "get_widths"))


def test_radii_of_zero_have_no_circle_and_are_told(figure, portrayed, drawn):
    module = figure("latent_maps")
    data = module.data(portrayed())
    for ax in drawn(module, data):
        assert not [patch for patch in ax.patches if isinstance(patch, Circle)]
        assert ax.texts[0].get_text() == "certified: all 0\nheuristic: all 0"
        labels = ax.get_legend_handles_labels()[1]
        assert "sharing radius, heuristic" in labels
        assert "1 to 3 interactions (n = 3)" in labels
        assert "latent units" in ax.get_xlabel()
        assert "60 % of variance" in ax.get_xlabel()
    assert "certified: all 0" in module.describe(data)


def test_all_settings_have_one_scale_and_the_same_users_in_their_cohorts(figure, portrayed, drawn):
    module = figure("latent_maps")
    data = module.data(portrayed())
    axes = drawn(module, data)
    assert len({ax.get_xlim() for ax in axes}) == len({ax.get_ylim() for ax in axes}) == 1
    assert len({tuple(cohort.rows) for panel in data.panels for cohort in panel.cohorts}) == 3
    reach = max(np.abs(panel.points).max() for panel in data.panels)
    assert axes[0].get_xlim()[1] > reach


def test_the_share_of_the_own_cohort_agrees_with_brute_force(figure, bare_run, portraits):
    rng = np.random.default_rng(3)
    codes = rng.standard_normal((40, 6))
    codes[:, 3:] = np.abs(codes[:, 3:])
    users = portraits.users_frame(40, n_items=np.arange(10, 50))
    portraits.write_setting(bare_run.path, "masked", users, codes=codes)
    (panel,) = figure("latent_neighbours").data(bare_run).panels
    label = {row: k for k, cohort in enumerate(panel.cohorts) for row in cohort.rows}
    distances = cdist(codes, codes)
    shares = []
    for row in label:
        others = sorted((other for other in label if other != row), key=lambda other: distances[row, other])
        shares.append(np.mean([label[other] == label[row] for other in others[:5]]))
    assert panel.same.value == pytest.approx(np.mean(shares))
    assert panel.by_chance == pytest.approx((8 - 1) / (24 - 1))
    assert panel.same.low < panel.same.value < panel.same.high


def test_cohorts_that_lie_apart_keep_to_themselves_and_mixed_ones_come_out_as_by_chance(figure, bare_run, portraits):
    module = figure("latent_neighbours")
    rng = np.random.default_rng(0)
    users = portraits.users_frame(300, n_items=np.arange(10, 310))
    apart = np.hstack([np.arange(300)[:, None] + np.zeros((300, 2)), np.ones((300, 2))])
    portraits.write_setting(bare_run.path, "clean", users, codes=apart)
    portraits.write_setting(bare_run.path, "masked", users, codes=np.abs(rng.standard_normal((300, 4))))
    clean, masked = module.data(bare_run).panels
    assert clean.same.value == 1.0
    assert masked.same.low < masked.by_chance < masked.same.high


def test_the_number_is_in_the_title_with_what_chance_gives(figure, portrayed, drawn):
    module = figure("latent_neighbours")
    data = module.data(portrayed())
    for ax, panel in zip(drawn(module, data), data.panels, strict=True):
        title = " ".join(ax.get_title(loc="left").split())
        assert f"{100 * panel.same.value:.0f} % [" in title
        assert "by chance" in title
        assert ax.get_xlabel() == "t-SNE, no unit"
    assert "25.0 % by chance" in module.describe(data)


@pytest.mark.parametrize("name", ["latent_maps", "latent_neighbours"])
@pytest.mark.parametrize("columns", [{"n_items": 7}, {"pca_x": 0.0, "pca_y": 0.0, "var_x": 0.0, "cov_xy": 0.0}])
def test_equal_users_and_few_users_are_drawn_without_a_warning(figure, bare_run, portraits, name, columns):
    module = figure(name)
    for n in (4, 1):
        users = portraits.users_frame(n, **columns)
        pairs = portraits.pairs_frame(users["u"].to_numpy(), sharing_radius_heuristic=np.inf)
        portraits.write_setting(bare_run.path, "given", users, pairs)
        (panel,) = module.data(bare_run).panels
        with warnings.catch_warnings(), house_style():
            warnings.simplefilter("error")
            for size in ((4.6, 5.0), (2.4, 2.6)):
                canvas, (ax,) = new_figure(1, size)
                module.draw(panel, ax)
                canvas.draw_without_rendering()
        assert f"{n} users" in module.describe(module.data(bare_run))


@pytest.mark.parametrize("name", ["latent_maps", "latent_neighbours"])
def test_a_run_without_portraits_is_refused(figure, bare_run, name):
    with pytest.raises(DataError, match="no portraits"):
        figure(name).data(bare_run)
