import copy
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from collabtheory.errors import DataError, InvalidInput
from collabtheory.report.forest_plot import describe, forest, write_forest
from collabtheory.report.render import to_csv, to_html, to_latex, to_markdown
from collabtheory.report.study_claims import claim_tables, comparison_table, verdict_matrix
from collabtheory.report.study_json import (
    canonical_text,
    make_study,
    read_studies,
    read_study,
    round_significant,
    write_study,
)
from collabtheory.report.study_published import REFERENCES, published_table
from collabtheory.report.study_tables import cohort_table, models_table, print_study, settings_table, study_tables
from collabtheory.report.study_words import CLAIMS, cohort_key, made_by

STUDIES = Path(__file__).parent / "studies"


@pytest.fixture(scope="module")
def studies():
    return read_studies(STUDIES)


@pytest.fixture(scope="module")
def study(studies):
    return next(one for one in studies if one.data.name == "ml-1m")


@pytest.fixture
def content():
    return json.loads((STUDIES / "ml-1m.json").read_text("utf-8"))


def column(table, label):
    index = [one.label for one in table.columns].index(label)
    return [row[index] for row in table.rows]


# The file


def test_a_written_study_reads_back_equal_and_writes_the_same_bytes_again(study, tmp_path):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    write_study(first, study)
    write_study(second, read_study(first))
    assert read_study(first) == study
    assert first.read_bytes() == second.read_bytes()


def test_order_of_keys_does_not_reach_the_file(content, study):
    backwards = json.loads(json.dumps(content), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert list(backwards) != list(content)
    assert canonical_text(make_study(backwards)) == canonical_text(study)


def test_numbers_are_kept_to_six_digits_and_whole_numbers_whole(content, tmp_path):
    content["methods"][0]["metrics"]["ndcg@100"]["value"] = 0.420412345678
    content["data"]["n_interactions"] = 123456789
    written = write_study(tmp_path / "x.json", content)
    assert written.methods[0].metrics["ndcg@100"].value == 0.420412
    assert written.data.n_interactions == 123456789


def test_rounding_is_that_of_the_decimal_string():
    rng = np.random.default_rng(0)
    for value in rng.normal(size=200) * 10.0 ** rng.integers(-9, 9, 200):
        assert round_significant(value) == float(np.format_float_scientific(value, precision=5, unique=False))


def test_numpy_numbers_are_taken_as_numbers(content):
    content["seed"], content["seconds"] = np.int64(3), np.float32(2.5)
    made = make_study(content)
    assert (made.seed, made.seconds) == (3, 2.5)


def set_at(content, path, value):
    for step in path[:-1]:
        content = content[step]
    content[path[-1]] = value


FAULTS = [
    (("schema",), 2, "schema"),
    (("seed",), "0", "seed"),
    (("date",), "yesterday", "date must be written YYYY-MM-DD"),
    (("data", "n_users"), 0, "data.n_users"),
    (("data", "users"), 5, "data.users"),
    (("methods", 2, "metrics", "ndcg@100", "low"), "0.4", "methods[2].metrics.ndcg@100.low"),
    (("methods", 2, "metrics", "ndcg@100", "value"), float("nan"), "methods[2].metrics.ndcg@100.value"),
    (("methods", 1, "metrics", "ndcg@100", "low"), 0.99, "methods[1].metrics.ndcg@100: the interval is upside down"),
    (("methods", 1, "metrics", "ndcg@100", "low"), None, "an interval needs both of its ends"),
    (("methods", 1, "name"), "popularity", "methods has 'popularity' twice"),
    (("comparisons", 0, "verdict"), "holds", "comparisons[0].verdict"),
    (("comparisons", 0, "p"), 1.2, "comparisons[0].p"),
    (("comparisons", 3, "first"), "nobody", "comparisons[3] names 'nobody'"),
    (("claims", 0, "id"), "E13", "claims[0].id"),
    (("settings_study", "rows", 1, "global_mass"), 0.3, "settings_study.rows[1].global_mass"),
]


@pytest.mark.parametrize(("path", "value", "words"), FAULTS, ids=lambda value: str(value)[:40])
def test_a_wrong_field_is_refused_in_one_line_with_file_and_field(content, tmp_path, path, value, words):
    set_at(content, path, value)
    file = tmp_path / "ml-1m.json"
    file.write_text(json.dumps(content), "utf-8")
    with pytest.raises(DataError) as caught:
        read_study(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named(content, tmp_path):
    del content["methods"][3]["metrics"]["ndcg@100"]["value"]
    with pytest.raises(DataError, match=r"methods\[3\]\.metrics\.ndcg@100\.value: Field required"):
        make_study(content)


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff"])
def test_what_is_no_study_is_a_data_error(tmp_path, text):
    file = tmp_path / "x.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"x\.json"):
        read_study(file)


def test_a_wrong_study_leaves_the_old_file_alone(content, tmp_path):
    file = tmp_path / "x.json"
    write_study(file, content)
    before = file.read_bytes()
    content["seed"] = None
    with pytest.raises(DataError, match="seed"):
        write_study(file, content)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_two_files_about_one_data_set_are_refused(content, tmp_path):
    write_study(tmp_path / "a.json", content)
    write_study(tmp_path / "b.json", content)
    with pytest.raises(DataError, match=r"b\.json.*a\.json"):
        read_studies(tmp_path)


def test_no_files_and_no_folder_are_no_studies(tmp_path):
    assert read_studies(tmp_path) == read_studies(tmp_path / "missing") == ()


# The tables


def test_models_come_best_first_with_their_intervals(study, content):
    table = models_table(study)
    values = [cell.value for cell in column(table, "nDCG@100")]
    assert values == sorted((one["metrics"]["ndcg@100"]["value"] for one in content["methods"]), reverse=True)
    assert "0.4204 [0.4159, 0.4249]" in to_markdown(table)
    assert "nDCG@100 (n = 6,034)" in table.headings


def test_a_model_that_still_rose_says_so_in_every_table(study):
    for table in (models_table(study), cohort_table(study)):
        marked = [name for name in column(table, "Model") if "(not converged)" in name]
        assert marked == ["RecVAE (not converged)"]
    assert "decide nothing" in models_table(study).caption
    assert any("RecVAE (not converged)" in text for text in column(comparison_table(study), "What is claimed"))


def test_where_all_converged_nothing_is_said(content):
    for method in content["methods"]:
        method["converged"] = True
    assert "onverged" not in to_markdown(models_table(make_study(content)))


def test_a_metric_that_one_method_lacks_is_not_available_there(content):
    del content["methods"][0]["metrics"]["recall@50"]
    table = models_table(make_study(content))
    cells = dict(zip(column(table, "Model"), column(table, "Recall@50"), strict=True))
    assert [name for name, cell in cells.items() if cell is None] == [content["methods"][0]["title"]]


def test_cohorts_are_ordered_by_size_not_by_spelling(content):
    assert sorted(["100+", "11-50", "5-10", "<5", "51-100"], key=cohort_key) == [
        "<5",
        "5-10",
        "11-50",
        "51-100",
        "100+",
    ]
    labels = [one.label for one in cohort_table(make_study(content)).columns]
    assert labels == ["Model", "[5-10]", "[11-50]", "[51-100]", "[100+]"]


def test_users_of_a_column_are_given_only_where_all_rows_agree(content):
    content["methods"][0]["metrics"]["ndcg@100"]["n"] = 17
    headings = models_table(make_study(content)).headings
    assert "nDCG@100" in headings
    assert "Recall@20 (n = 6,034)" in headings


def test_settings_keep_the_order_of_the_file(study):
    assert column(settings_table(study), "Inputs") == ["clean", "masked", "masked + PIA"]


def test_a_study_without_settings_has_no_such_table(content):
    del content["settings_study"]
    made = make_study(content)
    assert settings_table(made) is None
    assert not any("clean, masked" in table.title for table in study_tables(made))


def test_comparisons_are_in_the_order_of_the_claims(content):
    content["comparisons"][0]["claim"] = "E10"
    claims = column(comparison_table(make_study(content)), "Claim")
    assert claims == sorted(claims, key=lambda name: int(name[1:]))
    assert claims[-1] == "E10"


def test_a_comparison_of_settings_needs_no_method(content):
    content["comparisons"] = [{**content["comparisons"][0], "first": "masked + PIA", "second": "masked"}]
    text = to_markdown(comparison_table(make_study(content)))
    assert "masked + PIA above masked" in text


def test_a_measure_may_be_held_against_a_number_from_above(content):
    one = {**content["comparisons"][0], "first": "mult_vae", "second": "0.5", "metric": "drift.own.between_draws"}
    content["comparisons"] = [{**one, "expected": "less"}]
    (row,) = comparison_table(make_study(content)).rows
    assert row[1:3] == ("Mult-VAE below 0.5", "drift own between draws")


def test_a_claim_may_be_vacuous_but_a_comparison_not(content):
    content["claims"][0]["verdict"] = "vacuous"
    assert verdict_matrix([make_study(content)]).rows[3][2].startswith("vacuous")
    content["comparisons"][0]["verdict"] = "vacuous"
    with pytest.raises(DataError, match=r"comparisons\[0\]\.verdict"):
        make_study(content)


def test_matrix_has_every_claim_once_and_says_what_was_not_tested(studies):
    table = verdict_matrix(studies)
    rows = {row[0]: row[2:] for row in table.rows}
    assert list(rows) == list(CLAIMS)
    assert rows["E4"] == ("inconclusive, d +0.0787", "supported, d +0.0443")
    assert rows["E12"] == ("not tested", "not tested")
    assert [one.label for one in table.columns[2:]] == ["ml-100k", "ml-1m"]


def test_tables_of_a_claim_hold_that_claim_only(studies):
    verdicts, comparisons, numbers = claim_tables(studies, "E4")
    assert column(verdicts, "Verdict") == ["inconclusive", "supported"]
    assert len(comparisons.rows) == sum(one.claim == "E4" for study in studies for one in study.comparisons)
    assert numbers.grid()[0][2] == "11.0 % [8.00, 14.0]"
    assert claim_tables(studies, "E12") == ()
    with pytest.raises(InvalidInput, match="E13"):
        claim_tables(studies, "E13")


def test_distance_to_a_known_value_is_in_its_own_standard_errors(study):
    table = published_table(study)
    rows = {(row[0], row[1]): row for row in table.rows}
    _, _, known, here, error, apart, _ = rows["EASE, l2 400", "nDCG@100"]
    assert (known, here, error) == (0.426, 0.4204, 0.007)
    assert apart == pytest.approx((0.4204 - 0.426) / 0.007)


def test_an_unknown_standard_error_is_scaled_to_the_users_of_the_source(content):
    content["data"]["name"] = "msweb"
    (row,) = [row for row in published_table(make_study(content)).rows if row[1] == "nDCG@100"]
    ease = next(one for one in content["methods"] if one["name"] == "ease")
    error = ease["metrics"]["ndcg@100"]["standard_error"]
    assert row[4] == pytest.approx(error * math.sqrt(6034 / 627))


def test_data_that_nobody_published_has_no_such_table(content):
    content["data"]["name"] = "mine"
    assert published_table(make_study(content)) is None


def test_every_known_value_is_a_share_with_a_source():
    for one in REFERENCES:
        assert one.source
        assert one.values
        assert all(0 < value < 1 for _, value in one.values)


def test_every_table_is_written_in_every_form(study, studies):
    tables = [*study_tables(study), *claim_tables(studies, "E4"), comparison_table(studies)]
    assert len(tables) == 10
    for table in tables:
        for write in (to_markdown, to_html, to_latex, to_csv):
            assert write(table)
        assert len(to_csv(table).splitlines()) == 1 + len(table.rows)


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminal_shows_every_table_whole(study, width):
    stream = io.StringIO()
    print_study(study, stream, width=width)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "\x1b" not in text
    # A table wider than the terminal is cut off without a sign, at its last column.
    assert text.count("inconclusive ") + text.count("inconclusive\n") == 2
    for table in study_tables(study):
        assert table.title in text


def test_what_made_a_study_is_told(study):
    assert made_by(study) == "seed 0, 90 minutes on Example CPU (1 thread), revision 0123456789ab, 2026-01-31"


# The figure


def test_forest_has_a_row_for_each_comparison_and_a_point_for_each_data_set(studies):
    data = forest(studies)
    assert [row.claim for row in data.rows] == ["E4", "E4", "E6", "E8", "E9", "E9"]
    assert all([point.data for point in row.points] == ["ml-100k", "ml-1m"] for row in data.rows)
    first = data.rows[0]
    assert first.label == "Mult-VAE + PIA against Mult-VAE"
    assert [point.decided for point in first.points] == [False, True]
    assert "+0.00310 [+0.00134, +0.00486] on ml-1m" in describe(data)


def test_forest_leaves_cohorts_and_other_metrics_out(studies):
    assert not any(row.claim == "E5" for row in forest(studies).rows)
    with pytest.raises(DataError, match="Recall@20"):
        forest(studies, "recall@20")


def test_equal_studies_give_equal_images(studies, tmp_path):
    made = [[tmp_path / f"{i}.{kind}" for kind in ("png", "svg")] for i in range(2)]
    for png, svg in made:
        write_forest(studies, png, svg)
    assert made[0][0].read_bytes() == made[1][0].read_bytes()
    assert made[0][1].read_bytes() == made[1][1].read_bytes()


def test_small_differences_stay_in_sight_beside_a_large_one(content, tmp_path):
    from collabtheory.report import style
    from collabtheory.report.forest_plot import draw

    large = copy.deepcopy(content["comparisons"][0])
    large["difference"] = {"value": 0.5, "low": 0.45, "high": 0.55, "n": 6034}
    large["claim"] = "E10"
    for comparisons, scale in ((content["comparisons"], "linear"), ([*content["comparisons"], large], "function")):
        with style.house_style():
            _, (ax,) = style.new_figure(1)
            draw(forest([make_study({**content, "comparisons": comparisons})]), ax)
        assert ax.get_xscale() == scale
        low, high = ax.get_xlim()
        assert low < -0.008 < 0.018 < high
