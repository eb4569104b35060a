"""Saving what training can go on from: after epochs, but so seldom that it costs a small part of the time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

LARGEST_SHARE = 0.1
"""Of the time of training, what saving may take."""


class SeldomSaver:
    """Calls ``save`` after the first epoch, and then whenever that takes at most :data:`LARGEST_SHARE` of the time.

    A kill costs the epochs since; an error, an interruption or the end of training costs none.

    Examples
    --------
    >>> saved = []
    >>> saver = SeldomSaver(lambda: saved.append(len(saved)))
    >>> with saver.after_epoch():
    ...     pass
    >>> saver.now()
    >>> saved
    [0]
    """

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._saved_at = time.monotonic()
        self._cost = 0.0
        self._behind = False

    @contextlib.contextmanager
    def after_epoch(self) -> Iterator[None]:
        """Save if it is time, and if what is done with the epoch in the block ends the training."""
        self._behind = True
        if self._cost <= LARGEST_SHARE * (self._cost + time.monotonic() - self._saved_at):
            self.now()
        try:
            yield
        except BaseException:
            self.now()
            raise

    def now(self) -> None:
        """Save what has not been saved yet."""
        if not self._behind:
            return
        started = time.monotonic()
        self._save()
        self._saved_at = time.monotonic()
        self._cost, self._behind = self._saved_at - started, False
