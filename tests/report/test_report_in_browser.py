"""The report in a real browser, opened from a file."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from collabtheory.report.explorer_data import explorer_data
from collabtheory.report.figure_files import draw_figures, load_figures
from collabtheory.report.html import write_report

_specification = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
browser = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(browser)

pytestmark = pytest.mark.skipif(browser.browser_path() is None, reason="no Chromium or Chrome on this machine")

CONTRAST = """(() => {
  const channels = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const parse = (text) => {
    const [a, b, c, d = 1] = channels(text);
    return text.startsWith('color(srgb') ? [255 * a, 255 * b, 255 * c, d] : [a, b, c, d];
  };
  const over = (front, back) => front.slice(0, 3).map((c, i) => c * front[3] + back[i] * (1 - front[3]));
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = [];
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || parent.closest('script, style, noscript, option, datalist')) continue;
    if (!parent.checkVisibility() || !parent.getClientRects().length) continue;
    const style = getComputedStyle(parent);
    const back = ground(parent);
    const front = over(parse(parent instanceof SVGElement ? style.fill : style.color), back);
    const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
    seen.push([(high + 0.05) / (low + 0.05), walker.currentNode.data.trim().slice(0, 40)]);
  }
  return seen;
})()"""
CUT_OFF = """[...document.querySelectorAll('.tile, .chip, .explorer-settings label, button, .people td, figcaption')]
  .filter((one) => one.checkVisibility() && getComputedStyle(one).display !== 'inline')
  .filter((one) => one.scrollWidth > one.clientWidth + 1)
  .map((one) => one.textContent.trim().slice(0, 60))"""
SPEECH = "document.querySelector('[data-part=summary]').textContent"


@pytest.fixture(scope="module")
def report(portrayed):
    figures = load_figures(None, ["training_curve"])
    return write_report(portrayed, draw_figures([portrayed], figures, portrayed.path / "figures"))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser.Browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def pick(page, name, value):
    page.run(f"(() => {{ const s = document.getElementById('explorer-{name}'); s.value = {value!r};"
             " s.dispatchEvent(new Event('change')); })()")  # fmt: skip


def test_the_report_asks_for_nothing_and_nothing_complains(page, report):
    page.open(report)
    assert [url for url in page.requests() if not url.startswith(("data:", "file:"))] == []
    assert len([url for url in page.requests() if url.startswith("file:")]) == 1
    assert page.complaints() == []
    assert page.run("document.getElementById('explorer').hidden") is False


def test_a_title_that_looks_like_a_script_is_shown_and_not_run(page, report):
    page.open(report)
    assert page.run("window.broken") is None
    assert "</script><script>window.broken" in page.run("document.querySelector('[data-part=helpers]').textContent")


def test_choosing_users_and_settings_changes_what_is_said_and_drawn(page, report, portrayed):
    held = explorer_data(portrayed)
    page.open(report, reduced=True)
    u = 5
    page.run(f"(() => {{ const i = document.getElementById('explorer-user'); i.value = '{held.names[u]}';"
             " i.dispatchEvent(new Event('change')); })()")  # fmt: skip
    for k, setting in enumerate(held.settings):
        page.run(f"document.querySelectorAll('input[name=explorer-setting]')[{k}].click()")
        said = page.run(SPEECH)
        assert said.startswith(f"User {held.names[u]} ({held.sizes[u]} items), {setting.label}.")
        assert f"{int((setting.change[u] < 0).sum())} of {len(held.names) - 1} others help" in said
        assert f"Strongest helper: user {held.names[int(np.nanargmin(setting.change[u]))]}" in said
        inside = int((setting.inside[u] & 1).sum())
        rings = page.run("document.querySelectorAll('.explorer-main .map .ring.certified').length")
        assert rings == inside
        first = page.run("document.querySelector('[data-part=helpers] button').textContent")
        assert first == f"user {held.names[int(np.nanargmin(setting.change[u]))]}"


def test_shared_items_are_named(page, report, portrayed):
    held = explorer_data(portrayed)
    page.open(report)
    v = page.run("document.querySelector('[data-part=helpers] button').textContent").removeprefix("user ")
    u = page.run("document.getElementById('explorer-user').value")
    shared = np.intersect1d(held.histories[held.names.index(u)], held.histories[held.names.index(v)])
    cell = page.run("document.querySelector('[data-part=helpers] .titles').textContent")
    assert cell.startswith(f"{len(shared)}: ")
    assert all(held.titles[item] in cell for item in shared)


def test_the_map_is_driven_by_arrow_keys(page, report):
    page.open(report)
    page.run("document.querySelector('.map').focus()")
    before = page.run(SPEECH)
    page.press("Home")
    page.press("ArrowRight")
    after = page.run(SPEECH)
    assert after != before
    assert page.run("document.activeElement.getAttribute('role')") == "application"
    page.press("ArrowLeft")
    assert page.run(SPEECH) != after


def test_an_unknown_user_is_said_to_be_unknown(page, report):
    page.open(report)
    before = page.run(SPEECH)
    page.run("(() => { const i = document.getElementById('explorer-user'); i.value = 'nobody';"
             " i.dispatchEvent(new Event('change')); })()")  # fmt: skip
    assert page.run("document.getElementById('explorer-unknown').textContent") == "No user here is called nobody."
    assert page.run(SPEECH) == before


def test_true_distances_are_drawn_as_they_are(page, report, portrayed):
    held = explorer_data(portrayed)
    page.open(report, reduced=True)
    pick(page, "view", "distance")
    u = held.names.index(page.run("document.getElementById('explorer-user').value"))
    setting = next(one for one in held.settings if one.key == "masked")
    places = page.run("[...document.querySelectorAll('.explorer-main .map .marks .mark')].map((one) =>"
                      " one.style.transform.match(/-?[\\d.]+(?=px)/g).map(Number))")  # fmt: skip
    drawn = np.linalg.norm(np.array(places) - np.array(places)[u], axis=1)
    others = np.arange(len(held.names)) != u
    scale = drawn[others].sum() / setting.distance[u, others].sum()
    np.testing.assert_allclose(drawn[others], scale * setting.distance[u, others], atol=0.2)


def test_every_view_colour_and_radius_can_be_chosen_without_a_complaint(page, report):
    page.open(report)
    for name in ("view", "colour", "radius"):
        for value in page.run(f"[...document.getElementById('explorer-{name}').options].map((one) => one.value)"):
            pick(page, name, value)
            page.run("document.querySelector('[data-part=hurters] button').focus()")
    page.run("document.querySelector('[data-part=all]').open = true")
    page.wait_for("document.querySelectorAll('[data-part=everyone] tr').length > 20")
    assert page.complaints() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read(page, report, dark):
    page.open(report, dark=dark, reduced=True)
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    seen = page.run(CONTRAST)
    assert len(seen) > 300
    assert [one for one in seen if one[0] < 4.5] == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_runs_over_the_side_or_is_cut_off(page, report, width):
    page.open(report, width=width, reduced=True)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(CUT_OFF) == []
    box = page.run("(() => { const b = document.querySelector('.explorer-main .map').getBoundingClientRect();"
                   " return [b.left, b.right]; })()")  # fmt: skip
    assert box[0] >= 0
    assert box[1] <= width


def test_print_shows_the_chosen_state_without_controls(page, report):
    page.open(report)
    page.look(width=800, media="print")
    assert page.run("document.querySelector('.explorer-controls').checkVisibility()") is False
    assert page.run("document.querySelector('.explorer-main .map').checkVisibility()") is True
    printed = page.call("Page.printToPDF", printBackground=True)["data"]
    assert len(printed) > 50_000


def test_motion_is_left_out_where_the_reader_wants_none(page, report):
    transition = "getComputedStyle(document.querySelector('.marks .mark')).transitionDuration"
    page.open(report, reduced=False)
    page.wait_for(f"{transition} !== '0s'")
    page.open(report, reduced=True)
    page.wait_for("document.getElementById('explorer').classList.contains('ready')")
    assert page.run(transition) == "0s"
