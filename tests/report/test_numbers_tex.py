import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabtheory.report.macro_names import Macro, latex_number, macro_name, unique
from collabtheory.report.numbers_tex import numbers_text, run_macros, write_numbers
from collabtheory.runs.folder import RunFolder

LINE = re.compile(r"\\newcommand\{\\([A-Za-z]+)\}\{(.*?)\}% .*")


def parsed(text):
    """Names and texts of a file of macros; every line must be one, or a comment."""
    found = [LINE.fullmatch(line) for line in text.splitlines() if not line.startswith("%")]
    assert all(found)
    return [(one[1], one[2]) for one in found]


def balanced(text):
    depth = 0
    for token in re.findall(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(token, 0)
        assert depth >= 0
    return depth == 0


def test_every_number_of_the_records_is_there_as_the_tables_write_it(run):
    macros = dict(parsed(numbers_text([run])))
    record = next(one for one in run.claims if one["id"] == "theorem_2_3" and one["stage"] == "trained")
    helping = [
        one["numbers"]["share_helping"]["value"]
        for one in run.claims
        if one["id"] == "theorem_2_3" and one["stage"] == "trained"
    ]
    mean = sum(helping) / len(helping)
    assert macros["ctTheoremTwoThreeTrainedShareHelping"] == rf"\ensuremath{{{100 * mean:.1f}}}\,\%"
    assert macros["ctTheoremTwoThreeTrainedShareHelpingLow"] == rf"\ensuremath{{{100 * min(helping):.1f}}}\,\%"
    of_seed = macros[f"ctTheoremTwoThreeTrainedShareHelpingSeed{['Zero', 'One'][record['seed']]}"]
    assert of_seed == rf"\ensuremath{{{100 * record['numbers']['share_helping']['value']:.1f}}}\,\%"
    assert macros["ctTheoremTwoThreeTrainedSpearmanCosineWTwo"].startswith(r"\ensuremath{-0.")
    assert macros["ctDataUsers"] == r"\ensuremath{400}"
    assert macros["ctNumberOfSeeds"] == r"\ensuremath{2}"
    assert macros["ctLemmaTwoFourVerdict"] == "holds"
    assert macros["ctWassersteinBracketPremiseMet"] == r"\ensuremath{100}\,\%"
    named = {(one["id"], one["stage"], name) for one in run.claims for name in one["numbers"]}
    assert {macro_name(*parts) for parts in named} <= set(macros)


def test_names_are_letters_unique_and_sorted_and_values_are_balanced(run):
    macros = parsed(numbers_text([run]))
    names = [name for name, _ in macros]
    assert names == sorted(names)
    assert len(names) == len(set(names)) > 300
    assert all(name.isascii() and name.isalpha() and name.startswith("ct") for name in names)
    for _, text in macros:
        assert text
        assert balanced(text)
        assert not re.search(r"(?<!\\)[%&#$_^~](?!\{)", text.replace(r"10^{", "10{"))


def test_several_runs_are_told_apart_by_their_folders(run, run_of, parts, tmp_path):
    other = run_of([parts.record("a", "A", "holds", 1, 1, 0.5)])
    text = numbers_text([run, other])
    names = [name for name, _ in parsed(text)]
    assert len(names) == len(set(names))
    assert macro_name(other.path.name, "a", "verdict") in names
    assert text.startswith(f"% Numbers of {run.path.name}, {other.path.name}.")


def test_text_of_the_users_cannot_break_out_of_its_macro(run_of, parts):
    evil = "a}%\n\\input{x}_&#$~^"
    entry = parts.number(1.5, label=evil, unit=evil)
    run = run_of([parts.record(evil, evil, "holds", 1, 1, 0.5, stage=evil) | {"numbers": {evil: entry}}])
    (run.path / "run.json").write_text('{"data": {"name": "x}\\\\input{y}%"}}', encoding="utf-8")
    macros = parsed(numbers_text([RunFolder(run.path)]))
    assert all(balanced(text) for _, text in macros)
    assert dict(macros)["ctDataName"] == r"x\}\textbackslash{}input\{y\}\%"


def test_what_is_undefined_or_partly_defined_says_so(run_of, parts):
    def of(seed, value):
        return parts.record("a", "A", "holds", 1, 1, 0.5, seed=seed, stage="trained") | {
            "numbers": {"precision": parts.number(value), "never": parts.number(None)}
        }

    macros = dict(parsed(numbers_text([run_of([of(0, 0.5), of(1, None)])])))
    assert macros["ctATrainedPrecision"] == r"\ensuremath{50.0}\,\%"
    assert macros["ctATrainedPrecisionNote"] == "1 of 2 seeds"
    assert macros["ctATrainedPrecisionSeedOne"] == "undefined"
    assert macros["ctATrainedNever"] == "undefined"


def test_the_numbers_of_a_study_are_there(run_of):
    from pathlib import Path

    published = Path(__file__).parents[2] / "docs" / "results" / "ml-100k.json"
    run = run_of([])
    shutil.copy(published, run.path / "study.json")
    from collabtheory.report.study_json import read_study

    study = read_study(published)
    macros = {macro.name: macro.text for macro in run_macros(run)}
    method = study.methods[0]
    metric, interval = next(iter(method.metrics.items()))
    assert macros[macro_name("study", method.name, metric)] == latex_number(f"{interval.value:#.4g}")
    comparison = study.comparisons[0]
    expected = ("study", comparison.claim, comparison.first, "minus", comparison.second, comparison.metric)
    assert macros[macro_name(*expected, comparison.cohort or "", "verdict")] == comparison.verdict


@given(st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_any_name_becomes_letters(parts):
    assert re.fullmatch("ct[A-Za-z]*", macro_name(*parts))


@given(st.lists(st.tuples(st.sampled_from(["ctA", "ctAx", "ctB"]), st.text(max_size=3)), max_size=9), st.randoms())
def test_names_are_made_unique_whatever_the_order(pairs, random):
    macros = [Macro(name, "1", about) for name, about in pairs]
    shuffled = random.sample(macros, len(macros))
    made = unique(macros)
    assert len({macro.name for macro in made}) == len(macros)
    assert made == unique(shuffled)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_latex_reads_the_file(run, tmp_path):
    write_numbers([run], tmp_path / "numbers.tex")
    document = (
        r"\documentclass{article}\input{numbers}\begin{document}\ctTheoremTwoThreeTrainedShareHelping\end{document}"
    )
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    subprocess.run(["pdflatex", "-halt-on-error", "paper.tex"], cwd=tmp_path, check=True, capture_output=True)
