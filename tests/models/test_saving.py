"""Saving the state of training: seldom where it is dear, and never behind when training ends."""

import pytest

from collabtheory.models import saving
from collabtheory.models.saving import SeldomSaver


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves when told."""
    now = [0.0]
    monkeypatch.setattr(saving.time, "monotonic", lambda: now[0])
    return now


def epochs(clock, count, seconds, cost):
    """Return after which of so many epochs of so many seconds a save that costs so much happens."""
    saved, epoch = [], 0

    def save():
        saved.append(epoch)
        clock[0] += cost

    saver = SeldomSaver(save)
    for epoch in range(1, count + 1):  # noqa: B007 (read by save)
        clock[0] += seconds
        with saver.after_epoch():
            pass
    return saved, saver


@pytest.mark.parametrize(
    ("cost", "expected"), [(0.0, [1, 2, 3, 4, 5, 6, 7]), (0.1, [1, 2, 3, 4, 5, 6, 7]), (0.3, [1, 4, 7])]
)
def test_saving_takes_a_tenth_of_the_time_at_most(clock, cost, expected):
    assert epochs(clock, 7, 1.0, cost)[0] == expected


def test_the_end_saves_the_last_epoch_and_saves_it_once(clock):
    saved, saver = epochs(clock, 6, 1.0, 0.3)
    assert saved == [1, 4]
    saver.now()
    saver.now()
    assert saved == [1, 4, 6]


def test_whatever_ends_training_saves_the_epoch_before(clock):
    saved, saver = epochs(clock, 2, 1.0, 0.3)
    assert saved == [1]
    with pytest.raises(KeyboardInterrupt), saver.after_epoch():
        raise KeyboardInterrupt
    assert len(saved) == 2
