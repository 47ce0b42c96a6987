"""Several tests at once."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p after Holm's correction for all that are defined; None stays None.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none is smaller than the one
    before it or above 1.

    Source  Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for n_before, (p, index) in enumerate(ranked):
        largest = max(largest, min(1.0, p * (len(ranked) - n_before)))
        corrected[index] = largest
    return corrected
