"""How a number is written: the one place, so that every output says the same."""

from __future__ import annotations

import math
from collections.abc import Callable

from collabtheory.errors import InvalidInput

Scalar = str | int | float | bool | None


def share(value: float) -> str:
    """Return a share in percent, never rounded to 0 % or 100 % unless it is exactly that.

    Examples
    --------
    >>> share(0.8412), share(0.0441), share(7 / 65280), share(0.0), share(0.99996)
    ('84.1 %', '4.41 %', '0.011 %', '0 %', '99.996 %')
    """
    percent = 100.0 * value
    if percent in (0.0, 100.0):
        return f"{percent:.0f} %"
    small = abs(percent)
    near = abs(100.0 - percent)
    decimals = 1 if small >= 10 else 2 if small >= 1 else 1 - math.floor(math.log10(small))
    if near < 0.05:
        decimals = max(decimals, -math.floor(math.log10(near)))
    return f"{percent:.{min(decimals, 15)}f} %"


def number(value: float) -> str:
    """Return four significant digits, or a grouped integer from ten thousand on.

    Examples
    --------
    >>> number(2.0003), number(123456.7), number(0.00001234)
    ('2.000', '123,457', '1.23e-05')
    """
    if value == 0.0:
        return "0"
    if abs(value) >= 1e15 or abs(value) < 1e-3:
        return f"{value:.2e}"
    if abs(value) >= 1e4:
        return f"{value:,.0f}"
    return f"{value:#.4g}".rstrip(".")


def signed(value: float) -> str:
    """Return a number with its sign, three significant digits.

    Examples
    --------
    >>> signed(0.01234), signed(-3.2e-16), signed(0.0)
    ('+0.0123', '-3.20e-16', '0')
    """
    if value == 0.0:
        return "0"
    return f"{value:+.2e}" if abs(value) < 1e-3 or abs(value) >= 1e4 else f"{value:+#.3g}".rstrip(".")


def correlation(value: float) -> str:
    """Return a correlation, signed, two decimals.

    Examples
    --------
    >>> correlation(-0.416), correlation(0.0)
    ('-0.42', '+0.00')
    """
    return f"{value:+.2f}".replace("-0.00", "+0.00")


def integer(value: float) -> str:
    """Return a grouped integer.

    Examples
    --------
    >>> integer(65280)
    '65,280'
    """
    return f"{value:,.0f}"


def count(value: float) -> str:
    """Return a count as an integer, and a mean of counts with its decimals.

    Examples
    --------
    >>> count(25.0), count(25.333)
    ('25', '25.33')
    """
    return integer(value) if float(value).is_integer() else number(value)


FORMATS: dict[str, Callable[[float], str]] = {
    "share": share,
    "number": number,
    "signed": signed,
    "correlation": correlation,
    "integer": integer,
    "count": count,
}


def write_scalar(value: Scalar, form: str) -> str:
    """Return ``value`` as text, in one of the :data:`FORMATS` or ``"text"``.

    ``None`` is "n/a" (not measured), NaN is "undefined", infinities keep their sign; text stays as it is.

    Raises
    ------
    InvalidInput
        If no format has that name.
    """
    if form != "text" and form not in FORMATS:
        raise InvalidInput(f"unknown format {form!r}; choose one of text, {', '.join(FORMATS)}")
    if value is None:
        return "n/a"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "+infinity" if value > 0 else "-infinity"
    return str(value) if form == "text" else FORMATS[form](value)


def without_unit(text: str) -> str:
    """Return a written share without its percent sign (for the ends of an interval)."""
    return text.removesuffix(" %")
