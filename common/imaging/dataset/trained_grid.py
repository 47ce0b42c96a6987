"""The grid of the images that a model was trained on, and doubts about another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from common.imaging.dataset.prepared import PreparedCase
from common.imaging.volume import Volume

TOLERANCE = 0.1
"""Part by which a spacing may lie below the lowest or above the highest trained one. Chosen: no
augmentation changes the size of what is seen."""

Stripped = Literal["all", "some", "none"]
Spacing = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedGrid:
    """What the training sites' images were like, as their statistics say it.

    lowest_mm, highest_mm   over the sites, of each site's median spacing to the right, to the front
                            and upwards
    stripped                how many of the sites' cases showed a brain alone; the others came with
                            a brain mask of the site's own
    storage_order           in which the network read their voxels, and reads all others
    """

    lowest_mm: Spacing
    highest_mm: Spacing
    stripped: Stripped
    storage_order: Literal["RAS"] = "RAS"

    @classmethod
    def of_sites(
        cls, spacings_mm: Iterable[Spacing], *, n_stripped: int, n_cases: int
    ) -> TrainedGrid:
        """Over all sites that say it, at least one."""
        right, front, up = zip(*spacings_mm, strict=True)
        return cls(
            lowest_mm=(min(right), min(front), min(up)),
            highest_mm=(max(right), max(front), max(up)),
            stripped="all" if n_stripped >= n_cases else "some" if n_stripped else "none",
        )

    def doubts(self, case: PreparedCase, *, what_to_do: str) -> tuple[str, ...]:
        """What makes the model's answer on the case doubtful, one sentence each.

        what_to_do   the last sentence of each
        """
        found_mm = Volume(case.brain, case.affine).spacing_mm.tolist()
        doubts = []
        if any(
            not low * (1 - TOLERANCE) <= mm <= high * (1 + TOLERANCE)
            for mm, low, high in zip(found_mm, self.lowest_mm, self.highest_mm, strict=True)
        ):
            doubts.append(
                f"the voxels measure {_text(found_mm)} mm (right, front, up), and the model was "
                f"trained on {self._trained_mm()} mm: more than {TOLERANCE:.0%} beyond. "
                f"{what_to_do}"
            )
        if self.stripped == "all" and not case.stripped:
            doubts.append(
                "the image shows more than a brain, and the model was trained on skull-stripped "
                f"images alone: the brain mask decides what it sees. {what_to_do}"
            )
        return tuple(doubts)

    def _trained_mm(self) -> str:
        if self.lowest_mm == self.highest_mm:
            return _text(self.lowest_mm)
        return f"{_text(self.lowest_mm)} to {_text(self.highest_mm)}"


def _text(spacing_mm: Iterable[float]) -> str:
    return " x ".join(f"{mm:.2f}" for mm in spacing_mm)
