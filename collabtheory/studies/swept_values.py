"""The values of a setting as they are typed: which settings a method has, and what they can be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from collabtheory.errors import InvalidInput
from collabtheory.runs.frozen import Frozen
from collabtheory.studies.methods import Method, Setting, applied
from collabtheory.studies.profiles import StudyProfile


def parse_values(method: Method, setting: str, texts: Sequence[str], profile: StudyProfile) -> dict[str, Setting]:
    """Return the values of a setting by how they are written, in the order given and each once.

    Parameters
    ----------
    method, setting
        A method, and a field of its model or training.
    texts
        The values as typed; several numbers of one value (widths) are separated by commas.
    profile
        The base that the method changes.

    Raises
    ------
    InvalidInput
        If there is no such setting (those that exist are listed), a value is not one of it, or fewer than two differ.

    Examples
    --------
    >>> from collabtheory.studies.methods import get_method
    >>> from collabtheory.studies.profiles import get_study_profile
    >>> parse_values(get_method("mult_vae"), "hidden", ["100", "200,100"], get_study_profile("quick"))
    {'100': (100,), '200,100': (200, 100)}
    """
    bases = _bases(method, profile)
    base = next((base for base in bases if setting in type(base).model_fields), None)
    if base is None:
        names = [name for one in bases for name in type(one).model_fields]
        raise InvalidInput(f"{method.name} has no setting {setting!r}; it has {', '.join(names) or 'none'}")
    values = {_written(value): value for value in (_read(text, setting, base) for text in texts)}
    if len(values) < 2:
        raise InvalidInput(f"a curve needs two values of {setting} or more; given: {', '.join(values) or 'none'}")
    return values


def check_measurable(method: Method, setting: str, values: Mapping[str, Setting], profile: StudyProfile) -> None:
    """Raise InvalidInput unless the method has posteriors at every value."""
    if not method.is_trained:
        raise InvalidInput(f"{method.name} has no posteriors to measure; leave --measure out")
    for value in values.values():
        model, _ = applied({**method.changes, setting: value}, profile.model, profile.training)
        if model.architecture == "mult_dae":
            raise InvalidInput("a mult_dae has no posteriors to measure; leave --measure out")


def _bases(method: Method, profile: StudyProfile) -> tuple[Frozen, ...]:
    if method.is_trained:
        return applied(method.changes, profile.model, profile.training)
    if method.kind == "popularity":
        return ()
    if method.kind == "item_knn":
        from collabtheory.models.item_knn import ItemKnnSpec

        return (ItemKnnSpec.model_validate(method.changes),)
    if method.kind == "ease":
        from collabtheory.models.ease import EaseSpec

        return (EaseSpec.model_validate(method.changes),)
    from collabtheory.models.nonnegative_ease import NonnegativeEaseSpec

    return (NonnegativeEaseSpec.model_validate(method.changes),)


def _read(text: str, setting: str, base: Frozen) -> Setting:
    given = text.split(",") if isinstance(getattr(base, setting), tuple) else text
    try:
        value: Setting = getattr(type(base).model_validate({**base.model_dump(), setting: given}), setting)
    except ValidationError as error:
        raise InvalidInput(f"{setting} cannot be {text!r}: {error.errors()[0]['msg']}") from error
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(f"{setting} cannot be {text!r}: it must be finite")
    return value


def _written(value: Setting) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)
