"""Numbers as people read them on a page."""

from __future__ import annotations

_UNITS = ((3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms"))
_PREFIXES = ((1e9, " G"), (1e6, " M"), (1e3, " k"))


def count(n: int) -> str:
    """Return a count in full.

    Examples
    --------
    >>> count(1234567)
    '1,234,567'
    """
    return f"{n:,}"


def fractional(n: float) -> str:
    """Return a count that may have a fraction, to a tenth.

    Examples
    --------
    >>> fractional(1234), fractional(1.25), fractional(2.98)
    ('1,234', '1.2', '3')
    """
    return f"{n:,.1f}".removesuffix(".0")


def duration(us: int) -> str:
    """Return a time in the unit that suits it.

    Examples
    --------
    >>> duration(0), duration(1_500), duration(90_000_000), duration(7_200_000_000)
    ('0 s', '1.5 ms', '1.5 min', '2 h')
    """
    for size, unit in _UNITS:
        if us >= size:
            return f"{us / size:,.4g} {unit}" if us < 1000 * size else f"{us / size:,.0f} {unit}"
    return f"{us} µs" if us else "0 s"


def rounded(value: float) -> str:
    """Return a number in three digits, with a prefix of thousands.

    Examples
    --------
    >>> rounded(0), rounded(123), rounded(1234), rounded(5_600_000)
    ('0', '123', '1.23 k', '5.6 M')
    """
    for size, prefix in _PREFIXES:
        if value >= size:
            return f"{value / size:.3g}{prefix}"
    return f"{value:.3g}"


def share(part: float, whole: float) -> str:
    """Return a part of a whole in percent.

    Examples
    --------
    >>> share(1, 8), share(0, 0)
    ('12.5 %', '0 %')
    """
    return f"{100 * part / whole:.3g} %" if whole else "0 %"
