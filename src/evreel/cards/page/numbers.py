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


def as_size(n: int) -> str:
    """Return a number of bytes.

    Examples
    --------
    >>> as_size(12), as_size(812_345), as_size(1_234_567_890)
    ('12 B', '812 kB', '1.23 GB')
    """
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n >= size:
            return f"{n / size:,.3g} {unit}" if n < 1000 * size else f"{n / size:,.0f} {unit}"
    return f"{n} B"


def share(part: float, whole: float) -> str:
    """Return a part of a whole in percent.

    Examples
    --------
    >>> share(1, 8), share(0, 0)
    ('12.5 %', '0 %')
    """
    return f"{100 * part / whole:.3g} %" if whole else "0 %"
