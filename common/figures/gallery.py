"""Which cases stand for all: the best, the one in the middle and the worst."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Place = Literal["best", "median", "worst", "only"]


@dataclass(frozen=True, slots=True)
class Pick:
    """A case that is shown, and what it stands for."""

    place: Place
    name: str
    value: float


def gallery(rows: Iterable[tuple[str, float | None]]) -> list[Pick]:
    """Best, median and worst case, in this order; no case twice.

    rows   name and value of each case, more is better; a case without a value is not shown

    Two cases are best and worst, a single one is "only", none give an empty list. Equal values
    are ranked by name, so that the choice does not hang on the order of the rows. Of an even
    number, the median is the lower of the two in the middle: a case there is, not an average
    (chosen).
    """
    ranked = sorted(
        (value, name) for name, value in rows if value is not None and not math.isnan(value)
    )
    n = len(ranked)
    places: list[tuple[Place, int]] = []
    if n == 1:
        places = [("only", 0)]
    elif n == 2:
        places = [("best", 1), ("worst", 0)]
    elif n:
        places = [("best", n - 1), ("median", (n - 1) // 2), ("worst", 0)]
    return [Pick(place, ranked[at][1], ranked[at][0]) for place, at in places]
