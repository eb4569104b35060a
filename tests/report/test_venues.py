import io
import re
import zlib
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from collabtheory.errors import InvalidInput
from collabtheory.report import style
from collabtheory.report.figure_files import draw_figures, load_figure, load_figures
from collabtheory.report.figure_layout import draw_pages
from collabtheory.report.figure_text import drawn_texts, faults, wrapped
from collabtheory.report.image_files import save_image
from collabtheory.report.venues import REPORT, SMALLEST_TEXT, VENUES, get_venue, grid

NAMES = ("influence_against_distance", "coverage_by_stage", "decay_with_distance", "training_curve")
PANELS = """
TITLE, CAPTION, SIZE = "Panels", "Lines.", (4.0, 3.0)
def data(run): return tuple(range(6))
def panels(data): return data
def draw(part, ax):
    ax.plot([0, 1], [part, 1], label="a line")
    ax.set_title(f"panel {part}")
    ax.set_xlabel("shared label")
"""


@pytest.fixture(scope="module")
def panels(tmp_path_factory):
    path = tmp_path_factory.mktemp("figures") / "panels.py"
    path.write_text(PANELS, encoding="utf-8")
    return load_figure(path)


@pytest.fixture
def simple():
    with style.house_style():
        figure, (ax,) = style.new_figure(1, (4.5, 3.6))
        ax.plot([0, 1, 2], [0, 2, 1], marker="o")
        ax.axhline(1)
        ax.set_title("Title of it")
        figure.draw_without_rendering()
        figure.set_layout_engine(None)
        yield figure


def test_an_unknown_venue_is_refused_with_those_there_are():
    with pytest.raises(InvalidInput, match="unknown venue 'nips'; choose one of report, iclr-full"):
        get_venue("nips")


@pytest.mark.parametrize(
    ("name", "width"), [("iclr-full", 5.5), ("iclr-half", 2.7), ("icml-column", 3.25), ("slides", 10.0)]
)
def test_each_format_has_the_width_of_its_venue(simple, tmp_path, name, width):
    venue = get_venue(name)
    simple.set_size_inches(venue.drawn_width, 3.0)
    for kind in ("png", "svg", "pdf"):
        save_image(simple, tmp_path / f"a.{kind}", venue)
    image = Image.open(tmp_path / "a.png")
    assert image.width / image.info["dpi"][0] == pytest.approx(width, abs=0.01)
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    shown, high = map(float, re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg).groups())
    box = list(map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()))
    assert shown / 72 == pytest.approx(width, abs=1e-4)
    assert shown / box[0] == pytest.approx(high / box[1], rel=1e-4) == pytest.approx(venue.scale, rel=1e-4)
    page = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", (tmp_path / "a.pdf").read_bytes())
    assert float(page[1]) / 72 == pytest.approx(width, abs=1e-6)
    assert float(page[2]) / 72 == pytest.approx(3.0 * venue.scale, abs=1e-6)


def page_content(path):
    """The operators of a PDF's only page."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", path.read_bytes(), re.DOTALL)
    return max((zlib.decompress(one) for one in streams if one[:1] == b"x"), key=lambda text: text.count(b" l\n"))


@pytest.mark.parametrize("scale", [0.5, 7 / 9, 3.0])
def test_a_scaled_pdf_draws_what_the_unscaled_one_draws(simple, tmp_path, scale):
    save_image(simple, tmp_path / "plain.pdf", REPORT)
    save_image(simple, tmp_path / "scaled.pdf", replace(REPORT, scale=scale))
    plain, scaled = (page_content(tmp_path / f"{name}.pdf").split(b"\n") for name in ("plain", "scaled"))
    added = [k for k, line in enumerate(scaled) if line.endswith(b" cm") and line not in plain]
    matrix = np.array(scaled[added[0]].split()[:6], dtype=float)
    assert matrix.tolist() == pytest.approx([scale, 0, 0, scale, 0, 0])
    first = plain.index(b"1 0 0 1 0 0 cm") if b"1 0 0 1 0 0 cm" in plain else None
    rest = [line for k, line in enumerate(scaled) if k != added[0]]
    same = [line for k, line in enumerate(plain) if k != first]
    assert rest == same


def test_fonts_are_embedded_as_outlines(simple, tmp_path):
    save_image(simple, tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/CIDFontType2" in content
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"DejaVuSans" in content
    assert b"CreationDate" not in content
    save_image(simple, tmp_path / "a.svg")
    assert "<text" not in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_an_unknown_format_is_refused(simple, tmp_path):
    with pytest.raises(InvalidInput, match="unknown format 'gif'; choose among png, svg, pdf"):
        save_image(simple, tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


def test_panels_are_as_many_in_a_row_as_can_be_read():
    wide = get_venue("iclr-full")
    assert [grid(4, (5, 4), get_venue(name)).columns for name in ("report", "iclr-full", "iclr-half", "slides")] == [
        2,
        2,
        1,
        2,
    ]
    three = grid(6, (5, 4), wide, most_per_row=3, least=(2.3, 2.0))
    assert (three.rows, three.columns) == (2, 3)
    assert three.panel[0] * wide.scale >= 1.6
    assert three.panel[0] * 3 * wide.scale == pytest.approx(5.5)
    for venue in VENUES.values():
        for n in range(1, 9):
            laid = grid(n, (5, 4), venue)
            if venue.width is not None:
                assert laid.panel[0] * laid.columns * venue.scale == pytest.approx(venue.width)
                assert laid.panel[1] * laid.rows * venue.scale <= (venue.height or np.inf) + 1e-9


def test_what_does_not_fit_a_slide_goes_to_a_second_one(panels, make_run, tmp_path):
    slides = get_venue("slides")
    with style.house_style():
        pages = draw_pages(panels, tuple(range(6)), slides)
        titles = [ax.get_title(loc="left") for page in pages for ax in page.figure.axes]
    assert [len(page.figure.axes) for page in pages] == [4, 2]
    assert titles == [f"panel {k}" for k in range(6)]
    for page in pages:
        width, height = page.figure.get_size_inches() * slides.scale
        assert width == pytest.approx(10.0)
        assert height <= 5.6 + 1e-9


def test_a_label_that_panels_share_is_kept_once_a_column_and_the_legend_is_one(panels):
    with style.house_style():
        (page,) = draw_pages(panels, tuple(range(6)), get_venue("iclr-full"))
        labels = [ax.get_xlabel() for ax in page.figure.axes]
    assert labels == ["", "", "", "", "shared label", "shared label"]
    (legend,) = page.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a line"]
    assert legend.get_window_extent().y0 >= -1


def test_a_long_title_breaks_into_lines_within_its_axes_and_formulas_stay_whole(panels):
    title = "A title of very many words that is wider than any panel, with $W_1 (q_u, q_v)$ in it and 12 % of all"

    class Long:
        SIZE = (4.0, 3.0)
        panels = staticmethod(lambda data: data)

        @staticmethod
        def draw(part, ax):
            ax.set_title(title)
            ax.set_ylabel("a label that is a good deal higher than the panel to which it belongs")

    with style.house_style():
        (page,) = draw_pages(Long, (0,), get_venue("iclr-half"))
        (ax,) = page.figure.axes
        broken = ax.get_title(loc="left")
        texts = {text.get_text(): text.get_window_extent() for text in drawn_texts(page.figure)}
    assert page.faults == ()
    assert broken.count("\n") >= 2
    assert broken.replace("\n", " ") == title
    assert "$W_1 (q_u, q_v)$" in broken
    assert "12 %" in broken
    assert texts[broken].width <= ax.get_window_extent().width
    assert ax.get_ylabel().count("\n") >= 1


@pytest.mark.parametrize(
    ("place", "words", "size", "scale", "says"),
    [
        ((0.5, 0.5), "small", 8.9, 7 / 9, "text 'small' has 6.92 points; 7 are the least"),
        ((5.0, 0.5), "outside", 10.0, 1.0, "text 'outside' reaches over the edge of the figure"),
        ((0.31, 0.5), "over it", 10.0, 1.0, "text 'under it' and text 'over it' overlap"),
    ],
)
def test_what_cannot_be_read_is_told(simple, place, words, size, scale, says):
    (ax,) = simple.axes
    ax.text(0.3, 0.5, "under it", transform=ax.transAxes)
    ax.text(*place, words, size=size, transform=ax.transAxes)
    simple.draw_without_rendering()
    found = faults(simple, scale)
    assert says in found
    if scale == 1.0:
        assert len(found) == 1


def test_labels_of_ticks_outside_their_axis_are_not_faults(simple):
    (ax,) = simple.axes
    ax.set_xticks([0, 1, 2, 50], ["a", "b", "c", "far beyond"])
    ax.set_xlim(-0.1, 2.1)
    simple.draw_without_rendering()
    assert "far beyond" not in [text.get_text() for text in drawn_texts(simple)]
    assert faults(simple, 1.0) == []


@pytest.mark.parametrize("venue", ["iclr-full", "iclr-half", "slides"])
def test_the_figures_of_training_can_be_read_at_every_venue(run, tmp_path, venue):
    for figure in load_figures(None, NAMES[1:]):
        with style.house_style():
            for page in draw_pages(figure.module, figure.module.data(run), get_venue(venue)):
                assert page.faults == ()
                sizes = [text.get_fontsize() * get_venue(venue).scale for text in drawn_texts(page.figure)]
                assert min(sizes) >= SMALLEST_TEXT - 1e-9


def test_images_that_were_not_drawn_anew_are_removed_but_never_a_file_of_the_users(run_of, parts, tmp_path):
    folder, out, source = tmp_path / "mine", tmp_path / "paper", (tmp_path / "run")
    folder.mkdir()
    out.mkdir()
    source.mkdir()
    two = PANELS.replace("tuple(range(6))", "(1, 2)") + "PER_ROW, SHORTEST = 1, 3.0"
    (folder / "panels.py").write_text(two, encoding="utf-8")
    (out / "panels.csv").write_text("mine", encoding="utf-8")
    parts.write_lines(source / "claims.jsonl", [])
    from collabtheory.runs.folder import RunFolder

    runs = [RunFolder(source)]
    (first,) = draw_figures(runs, load_figures(folder), out, get_venue("slides"), ("png", "svg"))
    assert {path.name for path in first.files} == {
        "panels.json", "panels.png", "panels-2.png", "panels.svg", "panels-2.svg",
    }  # fmt: skip
    draw_figures(runs, load_figures(folder), out, get_venue("iclr-full"), ("png",))
    assert {path.name for path in out.iterdir()} == {"panels.json", "panels.png", "panels.csv"}
    gone = two.replace("return (1, 2)", "from collabtheory.errors import DataError; raise DataError('gone')")
    (folder / "panels.py").write_text(gone, encoding="utf-8")
    (out / "panels.pdf").write_text("the user's own", encoding="utf-8")
    (skipped,) = draw_figures(runs, load_figures(folder), out)
    assert skipped.skipped == "gone"
    assert {path.name for path in out.iterdir()} == {"panels.csv", "panels.pdf"}


def test_the_venue_leaves_the_users_matplotlib_settings_alone(panels):
    before = dict(mpl.rcParams)
    with style.house_style():
        draw_pages(panels, (0,), get_venue("poster"))
    assert dict(mpl.rcParams) == before


def test_panel_width_is_that_of_the_page_as_drawn():
    figure, axes = style.figure_of(grid(2, (5, 4), get_venue("iclr-full")), 2)
    FigureCanvasAgg(figure).print_figure(io.BytesIO())
    assert style.panel_width(axes[1]) == pytest.approx(5.5 / 2 / (7 / 9))
    with pytest.raises(InvalidInput, match="belong to no panel"):
        style.panel_width(figure.add_axes((0, 0, 1, 1)))


@pytest.mark.parametrize("width", range(1, 60))
def test_no_line_breaks_within_a_formula_or_before_a_percent_sign(width):
    words = "the distance $W_1 (q_u, q_v)$ of 12 % of all\nusers and $a + b$"
    lines = wrapped(words, width)
    assert all(line.count("$") % 2 == 0 and not line.startswith("%") for line in lines)
    assert " ".join(lines) == words.replace("\n", " ")
    assert any(line.startswith("users") for line in lines)
    assert all(len(line) <= max(width, len("$W_1 (q_u, q_v)$")) for line in lines)
