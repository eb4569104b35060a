import warnings

import numpy as np
import pandas as pd
import pytest

from collabtheory.errors import DataError
from collabtheory.report.style import house_style, new_figure

NAME = "influence_matrix"
SETTINGS = ("clean", "masked", "pia")


@pytest.fixture
def four(portraits):
    """Four users in two communities, whose relative loss changes are known: row u, column v."""
    changes = np.array(
        [[0.0, 0.1, -0.8, 0.0], [0.2, 0.0, 0.1, -0.4], [-0.6, 0.1, 0.0, 0.1], [0.3, -0.2, 0.1, 0.0]],
    )
    distances = np.array([[0, 8, 1, 9], [8, 0, 9, 2], [1, 9, 0, 7], [9, 2, 7, 0]])
    users = portraits.users_frame(4)
    apart = ~np.eye(4, dtype=bool)
    change = changes[apart]
    pairs = portraits.pairs_frame(
        users["u"].to_numpy(), loss_change=6e-3 * change, cosine=-change, input_distance=distances[apart]
    )
    return users, pairs, changes


def test_cells_shares_and_far_help_match_a_hand_made_table(figure, bare_run, portraits, four):
    users, pairs, changes = four
    truth = pd.DataFrame({"theme": [0, 1, 0, 1], "community": [0, 1, 0, 1]})
    portraits.write_setting(bare_run.path, "masked", users, pairs, truth=truth)
    (panel,) = figure(NAME).data(bare_run).panels
    order = [0, 2, 1, 3]
    expected = changes[np.ix_(order, order)]
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(panel.influence, expected)
    assert panel.helping.value == pytest.approx(4 / 12)
    assert panel.helping.n == 12
    # Of three others one is in the nearer half: 2 to 0, 3 to 1, 0 to 2, 1 to 3; all of the help comes from them.
    assert panel.far_help.value == 0.0
    assert panel.blocks.borders == panel.blocks.theme_borders == (2,)
    assert panel.blocks.themes == ((0.5, "theme 1"), (2.5, "theme 2"))


def test_help_from_far_pairs_is_weighed_by_its_size(figure, bare_run, portraits, four):
    users, pairs, _ = four
    farther = pairs.assign(input_distance=100 - pairs["input_distance"])
    portraits.write_setting(bare_run.path, "masked", users, farther)
    (panel,) = figure(NAME).data(bare_run).panels
    assert panel.far_help.value == pytest.approx(1.0)
    help_one = pairs.assign(loss_change=np.where((pairs["u"] == 1) & (pairs["v"] == 10), -6e-3, pairs["loss_change"]))
    portraits.write_setting(bare_run.path, "masked", users, help_one)
    (panel,) = figure(NAME).data(bare_run).panels
    # User 0 now gets 1.0 from its farthest, and all others together 0.8 + 0.4 + 0.6 + 0.2.
    assert panel.far_help.value == pytest.approx(1.0 / 3.0)


def test_neighbours_added_to_the_table_do_not_count(figure, bare_run, portraits, four):
    users, pairs, _ = four
    added = pairs.assign(sampling=np.where((pairs["u"] == 10) | (pairs["v"] == 10), "nearest", "sampled"))
    portraits.write_setting(bare_run.path, "masked", users, added)
    (panel,) = figure(NAME).data(bare_run).panels
    assert panel.influence.shape == (3, 3)
    assert panel.helping.n == 6


def test_users_of_like_gradients_stand_together_where_no_truth_is_known(figure, bare_run, portraits):
    users = portraits.users_frame(30)
    camp = np.arange(30) % 2
    u, v = (side[~np.eye(30, dtype=bool)] for side in np.meshgrid(camp, camp, indexing="ij"))
    pairs = portraits.pairs_frame(users["u"].to_numpy(), cosine=np.where(u == v, 0.5, -0.5))
    pairs = pairs.assign(loss_change=-6e-3 * pairs["cosine"])
    for setting in SETTINGS:
        portraits.write_setting(bare_run.path, setting, users, pairs)
    data = figure(NAME).data(bare_run)
    for panel in data.panels:
        blocks = np.nan_to_num(panel.influence, nan=-0.5)
        assert (blocks[:15, :15] == -0.5).all()
        assert (blocks[15:, :15] == 0.5).all()
        assert panel.blocks.borders == ()


def test_all_settings_are_drawn_with_their_numbers_units_and_users(figure, bare_run, portraits, drawn):
    portraits.write_portraits(bare_run.path, n_users=24, themes=True)
    module = figure(NAME)
    data = module.data(bare_run)
    assert [panel.setting for panel in data.panels] == list(SETTINGS)
    axes = drawn(module, data)
    for ax, panel, name in zip(axes, data.panels, ("Clean", "Masked", "Masked inputs + PIA"), strict=True):
        title = ax.get_title(loc="left")
        assert title.startswith(name)
        assert f"helps u in {100 * panel.helping.value:.0f} % [" in title
        assert "24 users" in ax.get_ylabel()
        assert "relative loss change" in ax.child_axes[0].get_xlabel()
    assert "Influence of 24 users" in module.describe(data)


def test_the_colours_fall_in_lightness_from_hurting_to_helping(figure):
    rgb = figure(NAME).INFLUENCE(np.linspace(1.0, 0.0, 50))[:, :3]
    grey = rgb @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) < 0).all()
    middle = figure(NAME).INFLUENCE(0.5)[:3] @ np.array([0.299, 0.587, 0.114])
    assert grey[0] - middle > 0.1
    assert middle - grey[-1] > 0.5


def test_gradients_of_zero_and_nobody_helping_are_drawn_without_a_warning(figure, bare_run, portraits):
    users = portraits.users_frame(5)
    norms = np.where(np.repeat(np.arange(5), 4) == 0, 0.0, 2.0)
    pairs = portraits.pairs_frame(users["u"].to_numpy(), loss_change=1e-3, cosine=np.nan, gradient_norm_u=norms)
    portraits.write_setting(bare_run.path, "given", users, pairs)
    module = figure(NAME)
    data = module.data(bare_run)
    (panel,) = data.panels
    assert np.isnan(panel.influence).all(axis=1).sum() == 1
    with warnings.catch_warnings(), house_style():
        warnings.simplefilter("error")
        for size in ((4.2, 4.9), (2.4, 2.8)):
            canvas, (ax,) = new_figure(1, size)
            module.draw(panel, ax)
            canvas.draw_without_rendering()
    assert "nobody helps" in ax.get_title(loc="left")
    assert "0 %" in module.describe(data)


def test_a_run_without_portraits_or_without_drawn_pairs_is_refused(figure, bare_run, portraits):
    with pytest.raises(DataError, match="no portraits"):
        figure(NAME).data(bare_run)
    users = portraits.users_frame(4)
    pairs = portraits.pairs_frame(users["u"].to_numpy(), sampling="nearest")
    portraits.write_setting(bare_run.path, "masked", users, pairs)
    with pytest.raises(DataError, match="drawn at random"):
        figure(NAME).data(bare_run)
