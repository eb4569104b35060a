"""Derived seeds depend on their words alone."""

from collabtheory.runs.seeds import derive, derive_integer


def test_same_words_same_stream_other_words_another():
    assert derive(1, "a", 2).integers(10**9) == derive(1, "a", 2).integers(10**9)
    assert len({derive_integer(*words) for words in ((0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a", "1"))}) == 6


def test_words_cannot_run_together():
    assert derive_integer(0, "ab", "c") != derive_integer(0, "a", "bc")
