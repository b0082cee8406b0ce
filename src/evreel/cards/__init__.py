"""A release told to people and to programs: page, data card, index, metadata.

Each card is a function of `evreel.cards.told.Told` alone, so it reads no file of the release, and
gives the files to write: path in the release → bytes. Equal facts give equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evreel.cards.croissant import croissant
from evreel.cards.index import index
from evreel.cards.page import page
from evreel.cards.readme import readme
from evreel.cards.told import Told

Card = Callable[[Told], Mapping[str, bytes]]

CARDS: Mapping[str, Card] = {"croissant": croissant, "index": index, "page": page, "readme": readme}
"""Kind of the files, as the manifest has it → what makes them."""
