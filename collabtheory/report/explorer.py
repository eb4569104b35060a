"""The explorer of the report: real posteriors, packed into one page with the script that draws them."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from markupsafe import Markup

from collabtheory.report.explorer_data import ExplorerData, SettingMap, explorer_data
from collabtheory.runs.folder import RunFolder

_SCRIPTS = ("explorer_data.js", "explorer_map.js", "explorer_words.js", "explorer.js")
_UNSAFE = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


@dataclass(frozen=True)
class Explorer:
    """The explorer, ready to be put into a page.

    Parameters
    ----------
    data
        JSON in which no character can end a script element.
    script
        The program, one closed function.
    script_hash
        Its name in a content security policy, so that no other script may run.
    settings
        Key and label of each setting.
    n_users, n_measured
        How many users it shows, and how many the run measured.
    classes
        What the users can be sorted by.
    """

    data: Markup
    script: Markup
    script_hash: str
    settings: tuple[tuple[str, str], ...]
    n_users: int
    n_measured: int
    classes: tuple[str, ...]


def make_explorer(run: RunFolder) -> Explorer | None:
    """Return the explorer of a run, or None where the run has no portraits of its models.

    Raises
    ------
    DataError
        If the portraits are damaged.
    """
    held = explorer_data(run)
    if held is None:
        return None
    script = "".join(files("collabtheory.report").joinpath("templates", name).read_text("utf-8") for name in _SCRIPTS)
    script = f"(function () {{\n'use strict';\n{script}}})();\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return Explorer(
        data=safe_json(packed(held)),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        settings=tuple((one.key, one.label) for one in held.settings),
        n_users=len(held.names),
        n_measured=held.n_measured,
        classes=tuple(name for name, _, _ in held.classes),
    )


def safe_json(value: Any) -> Markup:
    r"""Return JSON that can stand inside a script element, whatever text it holds.

    Examples
    --------
    >>> print(safe_json({"title": "</script>"}))
    {"title":"\u003c/script\u003e"}
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_UNSAFE))


def packed(held: ExplorerData) -> dict[str, Any]:
    """Return the data as plain values; arrays of numbers as base64 of little-endian float32, uint32 or uint8."""
    return {
        "names": list(held.names),
        "sizes": held.sizes.tolist(),
        "classes": [
            {"label": label, "names": list(names), "members": members.tolist()}
            for label, names, members in held.classes
        ],
        "titles": list(held.titles),
        "histories": [own.tolist() for own in held.histories],
        "learningRate": held.learning_rate,
        "measured": held.n_measured,
        "settings": [_packed_setting(one) for one in held.settings],
    }


def _packed_setting(one: SettingMap) -> dict[str, Any]:
    return {
        "key": one.key,
        "label": one.label,
        "explained": round(one.explained, 4),
        "principal": _base64(one.principal, "<f4"),
        "covariance": _base64(one.covariance, "<f4"),
        "neighbourly": _base64(one.neighbourly, "<f4"),
        "distance": _base64(one.distance, "<f4"),
        "cosine": _base64(one.cosine, "<f4"),
        "change": _base64(one.change, "<f4"),
        "inside": _base64(one.inside, "<u1"),
        "radii": [_sparse(radius) for radius in one.radii],
    }


def _sparse(radius: np.ndarray) -> dict[str, str]:
    """Return the places and values of the radii that are not zero, which few are."""
    places = np.flatnonzero(np.nan_to_num(radius) > 0)
    return {"places": _base64(places, "<u4"), "values": _base64(radius.ravel()[places], "<f4")}


def _base64(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")


__all__ = ["Explorer", "make_explorer", "packed", "safe_json"]
