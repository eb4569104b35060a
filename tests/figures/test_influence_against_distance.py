import numpy as np
import pandas as pd
import pytest

from collabtheory.errors import DataError
from collabtheory.report.pair_cloud import N_MEDIAN
from collabtheory.report.style import new_figure

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
        "sharing_radius_heuristic": np.zeros(n),
        "aligned_radius_heuristic": np.zeros(n),
        "cosine": np.full(n, 0.5),
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


def test_infinite_radii_are_counted_and_have_no_place_on_the_axis(figure, run_with, drawn):
    """A decoder that ignores the code: its radii are infinite where a step helps."""
    module = figure(NAME)
    frame = pair_rows(transport_cost=np.zeros(6), sharing_radius=[np.inf] * 3 + [0.0] * 3, aligned_radius=[np.inf] * 6)
    (panel,) = module.panels(module.data(run_with(frame)))
    drawn(module, module.data(run_with(frame)))
    assert np.isfinite(panel.x_edges).all()
    assert (panel.sharing.share_positive, panel.sharing.n_inside, panel.sharing.reach) == (0.5, 3, None)


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
    edges = np.geomspace(panel.x_edges[0], panel.x_edges[-1], N_MEDIAN + 1)
    checked = 0
    for k in range(N_MEDIAN):
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


def test_precision_and_recall_match_a_hand_made_table(figure, run_with):
    frame = pair_rows(
        sampling=["sampled"] * 8 + ["nearest"] * 2,
        transport_cost=[1.0] * 10,
        loss_change=[-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 0.0, 1.0, -1.0, 1.0],
        sharing_radius=[2.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 2.0],  # a radius of the distance itself is outside
        sharing_radius_heuristic=[2.0, 2.0, 2.0, 0.0, 2.0, 0.0, 0.0, 0.0, 9.0, 9.0],
        aligned_radius_heuristic=[0.0] * 6 + [2.0] + [0.0] * 3,
    )
    (panel,) = figure(NAME).data(run_with(frame)).panels
    assert (panel.sharing.certified.n_inside, panel.sharing.certified.precision) == (1, 1.0)
    assert panel.sharing.certified.recall == 0.25
    assert (panel.sharing.heuristic.precision, panel.sharing.heuristic.recall) == (0.75, 0.75)
    assert (panel.aligned.certified.n_inside, panel.aligned.certified.precision) == (0, None)
    assert panel.aligned.certified.recall == 0.0
    assert (panel.aligned.heuristic.precision, panel.aligned.heuristic.recall) == (0.0, 0.0)


def test_precision_agrees_with_the_records_of_a_run_without_equal_contents(figure, make_run):
    run = make_run(seeds=(0,), stages=("initial",), n_pairs=1500)
    (panel,) = figure(NAME).data(run).panels
    numbers = next(one for one in run.claims if one["id"] == "aligned_radius")["numbers"]
    assert panel.aligned.certified.recall == pytest.approx(numbers["recall"]["value"])
    assert panel.aligned.heuristic.recall == pytest.approx(numbers["recall_heuristic"]["value"])
    assert panel.aligned.heuristic.precision == pytest.approx(numbers["precision_heuristic"]["value"])


def test_where_nobody_helps_recall_is_undefined_not_zero(figure, run_with):
    module = figure(NAME)
    data = module.data(run_with(pair_rows(loss_change=np.ones(30), sharing_radius=np.full(30, 5.0))))
    assert data.panels[0].sharing.certified.recall is None
    assert "precision 0 %, recall undefined (30 pairs inside)" in module.describe(data)


def test_the_table_is_drawn_in_wide_panels_and_its_numbers_move_to_the_foot_of_narrow_ones(figure, run_with):
    module = figure(NAME)
    frame = pair_rows(transport_cost=np.geomspace(0.1, 9, 40), sharing_radius=[1.0] + [0.0] * 39)
    (panel,) = module.data(run_with(frame)).panels
    wide, narrow = (new_figure(1, size)[1][0] for size in ((5.5, 4.7), (3.5, 3.2)))
    for ax in (wide, narrow):
        module.draw(panel, ax)
    words = [text.get_text() for text in wide.texts]
    assert [word for word in words if word in ("● certified", "◇ heuristic", "empty")].count("empty") == 3
    assert "2.50 %" in words
    assert "● precision 100 %, recall 2.50 %" in [text.get_text() for text in narrow.texts]


def test_the_table_covers_no_pair(figure, run_with):
    frame = pair_rows(transport_cost=np.geomspace(1.0, 1.5, 2000))
    (panel,) = figure(NAME).data(run_with(frame)).panels
    columns = np.flatnonzero(panel.density.any(axis=1))
    assert columns[2] >= 0.45 * len(panel.density)


def test_cosine_is_drawn_upwards_and_helps_above_zero(figure, run_with, drawn):
    module = figure("cosine_against_distance")
    frame = pair_rows(cosine=[0.5, 0.5, -0.2, np.nan], sharing_radius=[2.0, 0.0, 0.0, 0.0])
    data = module.data(run_with(frame))
    (panel,) = data.panels
    assert (panel.share_helping, panel.n_undefined, panel.density.sum()) == (0.5, 1, 3)
    assert panel.sharing.inside_y.tolist() == [0.5]
    assert panel.y_edges[-1] >= 0.5
    (ax,) = drawn(module, data)
    assert "same way in 50.0 % of 4 pairs" in ax.get_title(loc="left")
    assert "cosine" in ax.get_ylabel()
    assert "50.0 % of 4 pairs" in module.describe(data)


def test_cosine_agrees_with_scipy_on_the_sign_of_decay(figure, make_run):
    from scipy.stats import spearmanr

    run = make_run(seeds=(0,), stages=("initial",), n_pairs=3000)
    (panel,) = figure("cosine_against_distance").data(run).panels
    pairs = run.pairs(0, "initial")
    rho = spearmanr(pairs["transport_cost"], pairs["cosine"]).statistic
    middle = panel.quartiles[1][np.isfinite(panel.quartiles[1])]
    assert (middle[-1] - middle[0]) * rho > 0


def test_cosine_without_pair_tables_is_refused(figure, make_run):
    with pytest.raises(DataError, match="no pair table"):
        figure("cosine_against_distance").data(make_run(seeds=(0,), n_pairs=10, with_pairs=False))
