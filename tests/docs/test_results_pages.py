import io
import re
import shutil
from pathlib import Path

import pytest

from collabtheory.report.study_words import CLAIMS

DOCS = Path(__file__).parents[2] / "docs"
STUDIES = Path(__file__).parents[1] / "report" / "studies"
PAGES = ("empirical", "recommenders")
DIRECTIVE = re.compile(r"^```\{study-results\} (.+)$", re.MULTILINE)


def page(name):
    return (DOCS / f"{name}.md").read_text("utf-8")


def directives():
    return [arguments for name in PAGES for arguments in DIRECTIVE.findall(page(name))]


def test_every_claim_has_one_section_with_its_result():
    sections = re.split(r"^## (?=E\d)", page("empirical"), flags=re.MULTILINE)[1:]
    assert [section.split(":")[0] for section in sections] == list(CLAIMS)
    for claim, section in zip(CLAIMS, sections, strict=True):
        assert f"claim {claim}" in DIRECTIVE.findall(section)


def test_every_claim_says_what_would_support_and_what_would_contradict_it():
    for section in re.split(r"^## (?=E\d)", page("empirical"), flags=re.MULTILINE)[1:]:
        for term in ("Test\n:", "Supported", "ontradicted\n:", "Unit\n:"):
            assert term in section, (section[:20], term)


def test_options_named_on_the_page_exist():
    from collabtheory.models.likelihoods import LIKELIHOODS

    text = page("recommenders")
    assert set(LIKELIHOODS) <= set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))


@pytest.fixture
def build(tmp_path):
    """Build a page with the directives given, from the result files given; return its HTML and the warnings."""
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    source, built = tmp_path / "docs", tmp_path / "built"
    (source / "results").mkdir(parents=True)
    extensions = repr(str(DOCS / "_extensions"))
    (source / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {extensions})\nextensions = ['myst_parser', 'study_results']\n"
    )

    def made(arguments, files=()):
        for file in files:
            shutil.copy(file, source / "results")
        text = "\n\n".join(f"```{{study-results}} {one}\n```" for one in arguments)
        (source / "index.md").write_text(f"# Results\n\n{text}\n")
        warnings = io.StringIO()
        # Several builds in one process would register their nodes twice.
        with docutils_namespace():
            Sphinx(source, source, built, built / "trees", "html", status=None, warning=warnings).build()
        return (built / "index.html").read_text("utf-8"), warnings.getvalue()

    return made


def test_pages_without_a_result_say_so(build):
    html, warnings = build(directives())
    assert warnings == ""
    assert html.count("No results yet") == len(directives()) - 1
    assert "arXiv:1802.05814" in html  # what is known from elsewhere needs no result


def test_every_directive_of_the_pages_shows_its_results(build):
    html, warnings = build(directives(), STUDIES.glob("*.json"))
    assert warnings == ""
    assert "No results yet" not in html
    assert re.search(r"0\.4204</p>\s*<p>\[0\.4159, 0\.4249\]", html)
    assert "RecVAE (not converged)" in html
    assert "supported, d +0.0443" in html
    assert "collabtheory compare --data ml-1m --folds 5" in re.sub(r"<[^>]+>", "", html)
    assert 'src="data:image/svg+xml;base64,' in html
    # Claims of which these studies say nothing have no table, and say so.
    assert html.count("No result yet: no published study has this part.") == sum(
        f"claim {claim}" in directives() for claim in ("E1", "E2", "E3", "E7", "E10", "E11", "E12")
    )


def test_a_new_result_reaches_a_page_that_did_not_change(build):
    assert "No results yet" in build(["models"])[0]
    assert "0.4204" in build(["models"], STUDIES.glob("*.json"))[0]


@pytest.mark.parametrize(
    ("arguments", "words"), [("tables", "unknown kind 'tables'"), ("claim E13", "unknown claim 'E13'")]
)
def test_a_misspelt_directive_fails_the_page(build, arguments, words):
    assert words in build([arguments])[1]


def test_a_result_file_that_is_wrong_fails_the_page(build, tmp_path):
    file = tmp_path / "ml-1m.json"
    file.write_text((STUDIES / "ml-1m.json").read_text("utf-8").replace('"schema": 1', '"schema": 9'), "utf-8")
    _, warnings = build(["models"], [file])
    assert "ml-1m.json: schema" in warnings
