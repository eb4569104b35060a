import base64
import json
import subprocess
import sys

import numpy as np
import pytest

from collabtheory.errors import DataError
from collabtheory.report.explorer import make_explorer, packed
from collabtheory.report.explorer_data import RADII, explorer_data, history_classes, spread_rows, turn_onto
from collabtheory.runs import portrait_files


def floats(text):
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


@pytest.fixture(scope="module")
def held(portrayed):
    return explorer_data(portrayed)


def test_every_pair_is_found_where_its_users_are(portrayed, held):
    users = portrait_files.users(portrayed, "pia")["u"].to_numpy()
    setting = next(one for one in held.settings if one.key == "pia")
    pairs = portrait_files.setting_pairs(portrayed, "pia")
    for row in pairs.sample(40, random_state=0).itertuples():
        u, v = int(np.flatnonzero(users == row.u)[0]), int(np.flatnonzero(users == row.v)[0])
        assert setting.distance[u, v] == row.transport_cost
        assert setting.cosine[u, v] == row.cosine
        assert setting.change[u, v] == row.loss_change
        expected = sum(1 << bit for bit, name in enumerate(RADII) if row.transport_cost < getattr(row, name))
        assert setting.inside[u, v] == expected
    assert np.isnan(np.diag(setting.distance)).all()
    assert (np.diag(setting.inside) == 0).all()


def test_histories_are_the_users_own_items(portrayed, held):
    contents = portrait_files.contents(portrayed, "masked")
    for u in range(contents.n_users):
        own = {str(contents.item_titles[item]) for item in contents.matrix[[u]].indices}
        assert {held.titles[item] for item in held.histories[u]} == own
        assert held.sizes[u] == len(own)


def test_turning_a_map_keeps_every_distance_and_every_ellipse(portrayed, held):
    for setting in held.settings:
        frame = portrait_files.users(portrayed, setting.key)
        before, after = frame[["pca_x", "pca_y"]].to_numpy(), setting.principal
        apart = [np.linalg.norm(one[:, None] - one[None], axis=2) for one in (before, after)]
        np.testing.assert_allclose(apart[0], apart[1], atol=1e-12)
        x, y, xy = frame[["var_x", "var_y", "cov_xy"]].to_numpy().T
        a, b, ab = setting.covariance.T
        np.testing.assert_allclose(a + b, x + y)
        np.testing.assert_allclose(a * b - ab**2, x * y - xy**2)
        # The direction in which a posterior is widest turns with the map: its variance towards another user's place.
        step, turned = before[1] - before[0], after[1] - after[0]
        old = x[0] * step[0] ** 2 + y[0] * step[1] ** 2 + 2 * xy[0] * step[0] * step[1]
        new = a[0] * turned[0] ** 2 + b[0] * turned[1] ** 2 + 2 * ab[0] * turned[0] * turned[1]
        assert new == pytest.approx(old)


@pytest.mark.parametrize("seed", range(6))
def test_turn_is_the_best_of_all_turns(seed):
    rng = np.random.default_rng(seed)
    points, target = rng.standard_normal((2, 9, 2))
    points, target = points - points.mean(0), target - target.mean(0)
    best = np.linalg.norm(points @ turn_onto(points, target) - target)
    for angle in np.linspace(0.0, 2 * np.pi, 721):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        for one in (turn, turn @ np.diag([1.0, -1.0])):
            assert np.linalg.norm(points @ one - target) >= best - 1e-12


def test_packed_numbers_are_those_that_were_measured(held):
    page = packed(held)
    n = len(held.names)
    for setting, one in zip(page["settings"], held.settings, strict=True):
        np.testing.assert_array_equal(floats(setting["distance"]).reshape(n, n), one.distance.astype(np.float32))
        for sparse, radius in zip(setting["radii"], one.radii, strict=True):
            dense = np.zeros(n * n, dtype=np.float32)
            dense[np.frombuffer(base64.b64decode(sparse["places"]), dtype="<u4")] = floats(sparse["values"])
            np.testing.assert_array_equal(dense.reshape(n, n), np.nan_to_num(radius).astype(np.float32))
    json.dumps(page, allow_nan=False)


def test_no_text_of_the_data_can_end_the_script_element(portrayed):
    explorer = make_explorer(portrayed)
    assert not {"<", ">", "&", "\u2028"} & set(explorer.data)
    assert json.loads(str(explorer.data))["titles"][0].startswith("</script>")


def test_many_users_are_thinned_evenly_and_the_page_can_say_so(portrayed):
    held = explorer_data(portrayed, most=7)
    assert (len(held.names), held.n_measured) == (7, 24)
    assert held.settings[0].distance.shape == (7, 7)
    sizes = np.sort(portrait_files.users(portrayed, "masked")["n_items"])
    assert held.sizes.min() == sizes[0]
    assert held.sizes.max() == sizes[-1]
    assert len(spread_rows(np.zeros(1000), 200)) == 200


def test_planted_themes_are_a_way_to_sort_users(held):
    assert [label for label, _, _ in held.classes] == ["planted theme", "length of history"]


def test_users_of_one_history_length_are_one_class():
    _, names, members = history_classes(np.full(9, 20))
    assert names == ("20 items",)
    assert set(members) == {0}


def test_model_of_the_users_own_is_a_setting_of_its_own(make_portrayed_run):
    held = explorer_data(make_portrayed_run(settings=("given",), titles=None))
    assert [one.label for one in held.settings] == ["the model given"]
    assert [label for label, _, _ in held.classes] == ["length of history"]


def test_run_without_portraits_has_no_explorer(run):
    assert explorer_data(run) is None
    assert make_explorer(run) is None


def test_portraits_of_other_users_are_refused(make_portrayed_run):
    run = make_portrayed_run()
    path = run.path / "portraits" / "pia" / "users.parquet"
    frame = portrait_files.users(run, "pia")
    frame.assign(u=frame["u"] + 1).to_parquet(path)
    with pytest.raises(DataError, match="'pia' are of other users"):
        explorer_data(run)


def test_the_report_is_written_without_torch(portrayed):
    code = "import sys\nfrom collabtheory.report.html import open_run, render_report\n"
    code += "render_report(open_run(sys.argv[1]), [])\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(portrayed.path)], check=True)
