"""What verdicts, stages and named results are called, for readers who have not read the code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from collabtheory.errors import DataError


@dataclass(frozen=True)
class VerdictWords:
    """One verdict: its name in records, how it is shown, and what it means."""

    name: str
    label: str
    tone: str  # good, empty, doubt, bad
    mark: str  # so that colour is never the only sign
    meaning: str


# From worst to best within each kind: the order in which a group of verdicts is summed up.
VERDICTS: dict[str, VerdictWords] = {
    words.name: words
    for words in (
        VerdictWords("error", "error", "bad", "!", "The check itself failed, so nothing is known. Fix this first."),
        VerdictWords(
            "violated", "violated", "bad", "✗", "A counterexample was found: the statement is false as it stands here."
        ),
        VerdictWords(
            "contradicted", "contradicted", "bad", "✗", "The data show the opposite of the claim, beyond chance."
        ),
        VerdictWords(
            "assumption_fails",
            "assumption fails",
            "doubt",
            "△",
            "Something that the statement presupposes is not true here, so the statement does not apply.",
        ),
        VerdictWords(
            "inconclusive", "inconclusive", "doubt", "?", "The data can not tell: the interval contains both answers."
        ),
        VerdictWords(
            "vacuous",
            "vacuous",
            "empty",
            "○",
            "The premise was met by no case, or by too few to count. The statement is not wrong, it says nothing here.",
        ),
        VerdictWords(
            "supported", "supported", "good", "✓", "The data agree with the claim, beyond chance. This is not a proof."
        ),
        VerdictWords(
            "holds",
            "holds",
            "good",
            "✓",
            "True in every case tried, in floating point, with the worst margin given. This is not a proof.",
        ),
        VerdictWords(
            "certified", "certified", "good", "✓", "Proved: by algebra, in exact arithmetic, or with rigorous bounds."
        ),
    )
}
RIGORS = ("statistical", "checked", "certified", "proved")


@dataclass(frozen=True)
class NumberWords:
    """A named result: what it is called and how it is written."""

    label: str
    form: str


COUNTED = ("pairs", "users", "items", "cases")
NUMBERS: dict[str, NumberWords] = {
    "share_helping": NumberWords("pairs in which v helps u", "share"),
    "share_positive_radius": NumberWords("pairs with a positive radius", "share"),
    "share_inside": NumberWords("pairs inside it (certified)", "share"),
    "precision": NumberWords("precision: inside pairs that help", "share"),
    "recall": NumberWords("recall: helping pairs that are inside", "share"),
    "share_inside_heuristic": NumberWords("pairs inside it (heuristic)", "share"),
    "precision_heuristic": NumberWords("precision (heuristic)", "share"),
    "recall_heuristic": NumberWords("recall (heuristic)", "share"),
    "share_sign_agreement": NumberWords("pairs whose alignment has the sign of the influence", "share"),
    "spearman_cosine_w2": NumberWords("rank correlation of influence with distance", "correlation"),
    "partial_spearman_given_jaccard": NumberWords("that correlation at equal content overlap", "correlation"),
    "first_order_slope": NumberWords("order of convergence of the first-order term (2 expected)", "number"),
    "certified_lipschitz_ratio": NumberWords("certified over observed Lipschitz constant", "number"),
}


def verdict_words(name: str) -> VerdictWords:
    """Return the words for a verdict.

    Raises
    ------
    DataError
        If there is no such verdict.
    """
    if name not in VERDICTS:
        raise DataError(f"unknown verdict {name!r}; a record must have one of {', '.join(VERDICTS)}")
    return VERDICTS[name]


def worst_verdict(names: Iterable[str]) -> str:
    """Return the verdict that sums up a group: the first, from worst to best.

    Examples
    --------
    >>> worst_verdict(["holds", "vacuous", "holds"])
    'vacuous'
    """
    present = {verdict_words(name).name for name in names}
    if not present:
        raise DataError("no verdict to sum up")
    return next(name for name in VERDICTS if name in present)


def overall_verdict(names: Iterable[str]) -> str:
    """Return the verdict of a statement over its stages: vacuous or inconclusive only where no stage says more.

    Examples
    --------
    >>> overall_verdict(["holds", "vacuous"]), overall_verdict(["holds", "violated"]), overall_verdict(["vacuous"])
    ('holds', 'violated', 'vacuous')
    """
    listed = list(names)
    telling = [name for name in listed if name not in ("vacuous", "inconclusive")]
    return worst_verdict(telling or listed)


def statement_name(statement: str) -> str:
    """Return the id of a statement as people write it.

    Examples
    --------
    >>> statement_name("theorem_2_3"), statement_name("aligned_radius"), statement_name("assumption_a1")
    ('Theorem 2.3', 'Aligned radius', 'Assumption A1')
    >>> statement_name("beta_kl")
    'Beta KL'
    """
    text = re.sub(r"(?<=\d)_(?=\d)", ".", statement).replace("_", " ").strip()
    text = re.sub(r"\b[a-z](?=\d+$)|\bkl\b", lambda match: match[0].upper(), text)
    return f"{text[:1].upper()}{text[1:]}" or "unnamed"


def stage_label(stage: str | None) -> str:
    """Return a stage as a short label.

    Examples
    --------
    >>> stage_label("initial"), stage_label("epoch_3"), stage_label(None)
    ('initial', 'epoch 3', 'no model')
    """
    return "no model" if stage is None else stage.replace("_", " ")


def stage_phrase(stage: str | None) -> str:
    """Return a stage as a phrase of a sentence.

    Examples
    --------
    >>> stage_phrase("initial"), stage_phrase("epoch_1"), stage_phrase("epoch_3"), stage_phrase("trained")
    ('before training', 'after 1 epoch', 'after 3 epochs', 'after training')
    """
    epoch = re.fullmatch(r"epoch_(\d+)", stage or "")
    if epoch:
        return f"after {int(epoch[1])} epoch{'' if int(epoch[1]) == 1 else 's'}"
    known = {"initial": "before training", "trained": "after training", None: "without a model"}
    known |= {"proof": "by its proof steps", "search": "by a search for counterexamples"}
    known |= {"ladder": "along a ladder of settings"}
    return known.get(stage, f"at stage {stage_label(stage)}")


def number_words(name: str, entry: Mapping[str, Any]) -> NumberWords:
    """Return label and format of a named result: the known words, else the record's own label."""
    if name in NUMBERS:
        return NUMBERS[name]
    label = str(entry.get("label") or name.replace("_", " "))
    unit = str(entry.get("unit") or "")
    if name.startswith(("share_", "precision", "recall")) or unit in ("%", "share"):
        return NumberWords(label, "share")
    if unit in COUNTED:
        return NumberWords(label, "count")
    form = "correlation" if "spearman" in name else "number"
    return NumberWords(f"{label} ({unit})" if unit and unit != "1" else label, form)


def enumerate_words(words: Iterable[str]) -> str:
    """Return words as an English list.

    Examples
    --------
    >>> enumerate_words(["a"]), enumerate_words(["a", "b"]), enumerate_words(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    listed = list(words)
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}" if listed else ""


def count_words(n: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> count_words(1, "statement"), count_words(1200, "statement")
    ('1 statement', '1,200 statements')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
