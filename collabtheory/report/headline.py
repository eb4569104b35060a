"""The answer of a run in plain words: what was checked, on what, what came out, what it is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collabtheory.report.formats import share
from collabtheory.report.table import Count
from collabtheory.report.verdicts import Summary, distinct_caught, mean_and_range, statement_verdict, summaries
from collabtheory.report.words import (
    VERDICTS,
    count_words,
    enumerate_words,
    stage_phrase,
    statement_name,
    verdict_words,
)
from collabtheory.runs.folder import RunFolder


@dataclass(frozen=True)
class Headline:
    """The answer: one sentence, its tone, the verdicts counted in words, and the sentences that qualify it.

    ``verdicts`` counts statements by their overall verdict, ``controls`` the negative controls caught.
    """

    answer: str
    tone: str
    tally: str
    sentences: tuple[str, ...]
    verdicts: Mapping[str, int]
    controls: Count


def headline(run: RunFolder) -> Headline:
    """Return the answer of a run in plain words."""
    by_statement = statements(run)
    overall = {one: statement_verdict(rows) for one, rows in by_statement.items()}
    tally = Counter(overall.values())
    controls = distinct_caught(run.controls)
    answer, tone = _answer(tally, controls)
    sentences = [_subject(run, len(by_statement))]
    sentences += [text for text in (_silent_sentence(by_statement, overall), _coverage_sentence(run)) if text]
    sentences.append(_controls_sentence(controls))
    ordered = {name: tally[name] for name in reversed(VERDICTS) if tally[name]}
    return Headline(answer, tone, _tally_sentence(tally), tuple(sentences), ordered, controls)


def statements(run: RunFolder) -> dict[str, tuple[Summary, ...]]:
    """Return the summaries of each statement, in the order of the records."""
    rows: dict[str, list[Summary]] = {}
    for one in summaries(run):
        rows.setdefault(one.id, []).append(one)
    return {statement: tuple(found) for statement, found in rows.items()}


def data_words(meta: Mapping[str, Any]) -> str:
    """Return the data of a run in words, as far as ``run.json`` tells.

    Examples
    --------
    >>> data_words({"data": {"name": "ml-100k", "n_users": 938, "n_items": 1447}})
    'ml-100k (938 users, 1,447 items)'
    >>> data_words({})
    'the data of this run'
    """
    places = [meta, meta.get("specification") or {}, meta.get("provenance") or {}]
    found = [place["data"] for place in places if isinstance(place, dict) and place.get("data")]
    described = next((data for data in found if isinstance(data, dict)), {})
    name = described.get("name") or next((data for data in found if isinstance(data, str)), "the data of this run")
    sizes = [
        count_words(described[key], noun)
        for key, noun in (("n_users", "user"), ("n_items", "item"), ("n_interactions", "interaction"))
        if isinstance(described.get(key), int)
    ]
    return f"{name} ({', '.join(sizes)})" if sizes else str(name)


def _answer(tally: Counter[str], controls: Count) -> tuple[str, str]:
    n = sum(tally.values())
    if not n:
        return "Nothing was checked.", "doubt"
    if controls.met < controls.tried:
        missed = controls.tried - controls.met
        return f"Do not trust this run: {count_words(missed, 'negative control')} came through unnoticed.", "bad"
    if tally["error"]:
        return f"Unfinished: {count_words(tally['error'], 'check')} ended in an error.", "bad"
    refuted = tally["violated"] + tally["contradicted"]
    if refuted:
        return f"{count_words(refuted, 'statement')} of {n} {'is' if refuted == 1 else 'are'} false here.", "bad"
    silent = tally["vacuous"] + tally["inconclusive"]
    standing = n - silent - tally["assumption_fails"]
    if standing == n:
        return (
            f"No counterexample. {'It holds' if n == 1 else f'All {n} statements hold'} wherever the premise is met.",
            "good",
        )
    if standing == 0:
        return "Nothing was refuted, and nothing was confirmed: no statement applies here.", "doubt"
    return f"No counterexample. {standing} of {n} statements hold wherever they apply.", "good"


def _subject(run: RunFolder, n: int) -> str:
    trained = len(run.stages)
    when = f" at {count_words(trained, 'stage')} of training" if trained else ""
    seeds = f", with {count_words(len(run.seeds), 'seed')}" if run.seeds else ""
    return f"Checked: {count_words(n, 'statement')} on {data_words(run.meta)}{when}{seeds}."


def _tally_sentence(tally: Counter[str]) -> str:
    parts = [f"{verdict_words(name).label} {tally[name]}" for name in reversed(VERDICTS) if tally[name]]
    return f"Statement by statement: {enumerate_words(parts)}." if parts else "No statement was checked."


def _silent_sentence(by_statement: Mapping[str, tuple[Summary, ...]], overall: Mapping[str, str]) -> str:
    """Name the statements that hold somewhere yet are vacuous elsewhere: the verdict alone would hide it."""
    parts = []
    for statement, rows in by_statement.items():
        silent = [row for row in rows if row.verdict == "vacuous"]
        if silent and overall[statement] != "vacuous":
            parts.append(
                f"{statement_name(statement)} says nothing {enumerate_words(stage_phrase(row.stage) for row in silent)}"
            )
    return f"{'; '.join(parts)}." if parts else ""


def _coverage_sentence(run: RunFolder) -> str:
    """Compare who helps with whom the radius covers, at the first and the last stage."""
    sentences = []
    for stage in dict.fromkeys((*run.stages[:1], *run.stages[-1:])):
        records = [one for one in run.claims if one["id"] == "theorem_2_3" and one.get("stage") == stage]
        helping = mean_and_range(records, "share_helping").value
        inside = mean_and_range(records, "share_inside").value
        if helping is not None and inside is not None and helping == helping and inside == inside:
            vouched = "for no pair" if inside == 0 else f"for {share(inside)} of pairs"
            phrase = stage_phrase(stage)
            sentences.append(
                f"{phrase[0].upper()}{phrase[1:]}, one user's step helps the other in {share(helping)} of pairs; "
                f"the certified sharing radius vouches {vouched}."
            )
    return " ".join(sentences)


def _controls_sentence(controls: Count) -> str:
    if not controls.tried:
        return "No negative control was run, so nothing shows that these checks can fail."
    if controls.met == controls.tried:
        return f"All {count_words(controls.tried, 'negative control')} (false twins of the statements) were caught."
    return f"Only {controls.met:,} of {count_words(controls.tried, 'negative control')} were caught."
