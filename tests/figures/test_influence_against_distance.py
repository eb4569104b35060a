import numpy as np
import pandas as pd
import pytest

from collabtheory.errors import DataError

NAME = "influence_against_distance"


def pair_rows(**columns):
    n = len(next(iter(columns.values())))
    base = {
        "relation": [""] * n,
        "sampling": ["sampled"] * n,
        "input_distance": np.ones(n, dtype=np.int64),
        "transport_cost": np.ones(n),
        "loss_change": np.full(n, -0.5),
        "learning_rate": np.ones(n),
        "gradient_norm_u": np.ones(n),
        "gradient_norm_v": np.ones(n),
        "sharing_radius": np.zeros(n),
        "aligned_radius": np.zeros(n),
    }
    return pd.DataFrame({**base, **columns})


@pytest.fixture
def run_with(make_run):
    def make(frame, stages=("initial",)):
        run = make_run(seeds=(0,), stages=stages, n_pairs=50)
        frame.to_parquet(run.pairs_path(0, stages[0]), index=False)
        return run

    return make


def test_shares_radii_and_relations_match_a_hand_made_table(figure, run_with):
    frame = pair_rows(
        relation=["twin"] * 5 + ["far"] * 5,
        transport_cost=[0.1] * 5 + [2.0] * 5,
        loss_change=[-8.0, -8.0, -8.0, -4.0, -4.0, 4.0, 4.0, -2.0, 4.0, 0.0],
        learning_rate=[0.5] * 10,
        gradient_norm_u=[4.0] * 10,
        gradient_norm_v=[5.0] * 10,
        sharing_radius=[0.2, 0.2, 0.1, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
        aligned_radius=[0.2, 0.2, 0.2, 0.2, 0.0, 0.0, 0.0, 2.5, 0.0, 0.0],
    )
    module = figure(NAME)
    (panel,) = module.panels(module.data(run_with(frame)))
    assert panel.n_pairs == 10
    assert panel.share_helping == 0.6  # a change of exactly 0 does not help
    assert panel.relations == (("twin", 0.1, -0.8, 5), ("far", 2.0, 0.4, 5))
    assert (panel.sharing.share_positive, panel.sharing.n_inside) == (
        0.4,
        2,
    )  # a radius equal to the distance is not inside
    assert (panel.aligned.share_positive, panel.aligned.n_inside) == (0.5, 5)
    assert panel.sharing.reach == pytest.approx(tuple(np.quantile([0.2, 0.2, 0.1, 1.0], (0.05, 0.5, 0.95))))
    assert sorted(panel.aligned.inside_y) == pytest.approx([-0.8, -0.8, -0.8, -0.4, -0.2])
    assert panel.density.sum() == 10


def test_every_pair_lies_in_its_own_cell(figure, make_run):
    module = figure(NAME)
    run = make_run(seeds=(0,), stages=("initial",), n_pairs=2000)
    (panel,) = module.data(run).panels
    pairs = run.pairs(0, "initial")
    x = pairs["transport_cost"].clip(panel.x_edges[0], panel.x_edges[-1])
    y = pairs["loss_change"] / (pairs["learning_rate"] * pairs["gradient_norm_u"] * pairs["gradient_norm_v"])
    y = y.clip(panel.y_edges[0], panel.y_edges[-1])
    expected, _, _ = np.histogram2d(x, y, bins=(panel.x_edges, panel.y_edges))
    # A value on the border of two cells may be rounded to either.
    assert np.abs(panel.density - expected).sum() <= 8
    assert panel.density.sum() == 2000


def test_the_median_line_is_the_median_of_its_bin(figure, make_run):
    module = figure(NAME)
    run = make_run(seeds=(0, 1), stages=("trained",), n_pairs=1000)
    (panel,) = module.data(run).panels
    pairs = run.pairs()
    y = pairs["loss_change"] / (pairs["learning_rate"] * pairs["gradient_norm_u"] * pairs["gradient_norm_v"])
    edges = np.geomspace(panel.x_edges[0], panel.x_edges[-1], module.N_MEDIAN + 1)
    checked = 0
    for k in range(module.N_MEDIAN):
        inside = y[(pairs["transport_cost"] >= edges[k]) & (pairs["transport_cost"] < edges[k + 1])]
        if len(inside) >= 20:
            assert panel.quartiles[:, k] == pytest.approx(np.quantile(inside, (0.25, 0.5, 0.75)))
            checked += 1
        else:
            assert np.isnan(panel.quartiles[:, k]).all()
    assert checked >= 4


def test_the_text_says_how_many_help_and_are_inside(figure, make_run, drawn):
    module = figure(NAME)
    run = make_run(seeds=(0,), stages=("initial",), n_pairs=1500)
    pairs = run.pairs(0, "initial")
    inside = pairs["transport_cost"] < pairs["sharing_radius"]
    near = pairs["sampling"] == "nearest"
    pairs = pairs[~near]
    (ax,) = drawn(module, module.data(run))
    assert "Before training: v helps u in" in ax.get_title(loc="left")
    assert f"{(pairs['loss_change'] < 0).mean():.1%}".replace("%", " %") in ax.get_title(loc="left")
    texts = [text.get_text() for text in ax.texts]
    ending = f"inside ({(inside & ~near).sum()})"
    assert not (inside & near).any()
    assert any(text.startswith("sharing radius: ") and text.endswith(ending) for text in texts)
    assert "log scale" in ax.get_xlabel()


def test_users_with_equal_contents_are_not_shown(figure, run_with):
    frame = pair_rows(input_distance=[0] * 4 + [2] * 6, sharing_radius=[9.0] * 10)
    (panel,) = figure(NAME).data(run_with(frame)).panels
    assert panel.n_pairs == 6
    assert panel.sharing.n_inside == 6


def test_shares_are_over_drawn_pairs_and_near_pairs_inside_are_told_apart(figure, run_with, drawn):
    frame = pair_rows(
        sampling=["sampled"] * 4 + ["nearest"] * 6,
        loss_change=[-1.0, 1.0, 1.0, 1.0] + [-1.0] * 6,
        transport_cost=[0.5] * 10,
        sharing_radius=[1.0, 0.2, 0.0, 0.0] + [1.0] * 6,
    )
    module = figure(NAME)
    data = module.data(run_with(frame))
    (panel,) = data.panels
    assert (panel.n_pairs, panel.n_drawn, panel.share_helping) == (10, 4, 0.25)
    assert (panel.sharing.share_positive, panel.sharing.n_inside, panel.sharing.n_inside_near) == (0.5, 7, 6)
    (ax,) = drawn(module, data)
    texts = [text.get_text() for text in ax.texts]
    assert "sharing radius: 50.0 % have one, 25.0 % inside (1 + 6 near)" in texts
    assert "aligned radius: 0 % have one, none inside" in texts


def test_a_table_of_near_pairs_alone_stands_for_itself(figure, run_with):
    (panel,) = figure(NAME).data(run_with(pair_rows(sampling=["nearest"] * 5))).panels
    assert (panel.n_drawn, panel.share_helping) == (5, 1.0)


def test_stages_share_their_axes(figure, make_run):
    panels = figure(NAME).data(make_run(n_pairs=200)).panels
    assert [panel.stage for panel in panels] == ["initial", "epoch_3", "epoch_10", "trained"]
    assert len({tuple(panel.x_edges) for panel in panels}) == 1
    assert len({tuple(panel.y_edges) for panel in panels}) == 1


@pytest.mark.parametrize(
    "frame",
    [
        pair_rows(transport_cost=np.geomspace(0.1, 9, 60)),  # nobody inside, no radius
        pair_rows(transport_cost=np.zeros(30)),  # all at distance zero
        pair_rows(transport_cost=[1.0]),  # one pair
        pair_rows(loss_change=np.zeros(40)),  # no effect at all
        pair_rows(gradient_norm_u=np.zeros(25)),  # no gradient at all
        pair_rows(sharing_radius=np.full(30, 5.0), aligned_radius=np.full(30, 1e9)),  # all inside
        pair_rows(relation=["<b>"] * 30),
    ],
)
def test_degenerate_tables_are_drawn(figure, run_with, drawn, frame):
    module = figure(NAME)
    data = module.data(run_with(frame))
    (ax,) = drawn(module, data)
    assert str(len(frame)) in ax.get_title(loc="left")
    assert str(len(frame)) in module.describe(data)


def test_pairs_without_gradient_are_counted_not_drawn(figure, run_with):
    frame = pair_rows(gradient_norm_u=[0.0, 0.0, 1.0, 1.0])
    (panel,) = figure(NAME).data(run_with(frame)).panels
    assert panel.n_undefined == 2
    assert panel.density.sum() == 2


def test_no_pair_table_is_refused(figure, make_run):
    with pytest.raises(DataError, match="no pair table"):
        figure(NAME).data(make_run(seeds=(0,), n_pairs=10, with_pairs=False))
