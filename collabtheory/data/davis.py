"""The Davis Southern Women network: 18 women, 14 social events, small enough to check everything exhaustively."""

from __future__ import annotations

from dataclasses import replace

import networkx
import numpy as np

from collabtheory.data.interactions import Interactions


def davis_women() -> Interactions:
    """Return who attended which event: 18 users x 14 items, 89 interactions (from networkx; Davis et al., 1941).

    Users are named by the women's names, items are numbered 1 to 14 and titled "event 1" to "event 14".

    Examples
    --------
    >>> davis_women()
    <Interactions davis: 18 users x 14 items, 89 interactions, density 0.3532>
    """
    graph = networkx.davis_southern_women_graph()
    women, events = set(graph.graph["top"]), set(graph.graph["bottom"])
    pairs = [(woman, int(event[1:])) for woman in women for event in graph[woman] if event in events]
    data = Interactions.from_pairs([woman for woman, _ in pairs], [event for _, event in pairs], name="davis")
    titles = np.array([f"event {event}" for event in data.item_ids], dtype=object)
    return replace(data, item_titles=titles)
