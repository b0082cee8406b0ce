"""40-bit events written word by word, from the bits on N-MNIST's page.

A word is bits 39 to 32 x, 31 to 24 y, 23 polarity, 22 to 0 time in µs; one whose y is 240 says that
2¹³ µs are to be added to the times of all words after it.
"""

from __future__ import annotations


def word(t: int, x: int, y: int, p: int) -> bytes:
    """Return a word."""
    return (x << 32 | y << 24 | p << 23 | t).to_bytes(5, "big")


def overflow(t: int = 0, x: int = 0, p: int = 0) -> bytes:
    """Return a word of overflow; what it has beside its y does not count."""
    return word(t, x, 240, p)


def aer40(rows, most: int = (1 << 23) - 1) -> bytes:
    """Return a file of rows (t, x, y, p) with words of overflow where a time is more than `most`.

    `most` is 2¹³ − 1 or more; the time of an event between has the room that is left.
    """
    content, later = b"", 0
    for t, x, y, p in rows:
        while t - later > most:
            content += overflow()
            later += 1 << 13
        content += word(t - later, x, y, p)
    return content
