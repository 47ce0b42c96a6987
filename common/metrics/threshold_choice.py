"""The decision threshold with the best mean, from sums that add up exactly over sites."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from common.metrics.threshold_sweep import THRESHOLDS, ThresholdCounts

By = Literal["dice", "lesion_f1"]
"""Which mean a choice maximizes."""

UNIT = 10**9
"""A case's figure is rounded to a whole number of 1 / UNIT before it is summed."""


SMALLEST_MM3 = (0.0, 3.0, 6.0, 10.0, 15.0, 20.0)
"""The volumes below which predicted lesions may be dropped, mm3 (chosen; 20 is 3.4 mm wide)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdSums:
    """Per threshold, Dice and lesion F1 summed over cases, in whole numbers of 1e-9.

    thresholds     rising
    dice           a sum a threshold, over the `n_dice` cases where Dice is defined
    lesion_f1      a sum a threshold, over the `n_lesion_f1` cases where lesion F1 is defined
    n_cases        all cases looked at, those without a lesion among them

    Whole numbers add up to the same in any order and grouping: the sum over sites is the sum over
    their cases, to the last digit. Whether a figure is defined depends on the reference alone, so
    one count is valid for all thresholds.
    """

    thresholds: tuple[float, ...]
    dice: tuple[int, ...]
    lesion_f1: tuple[int, ...]
    n_dice: int
    n_lesion_f1: int
    n_cases: int

    def __post_init__(self) -> None:
        if not len(self.thresholds) == len(self.dice) == len(self.lesion_f1):
            raise ValueError(
                f"want a sum of Dice and of lesion F1 for each of {len(self.thresholds)} "
                f"thresholds, got {len(self.dice)} and {len(self.lesion_f1)}"
            )
        for name, sums, n in (
            ("dice", self.dice, self.n_dice),
            ("lesion_f1", self.lesion_f1, self.n_lesion_f1),
        ):
            if not 0 <= n <= self.n_cases:
                raise ValueError(f"n_{name}: want 0 to {self.n_cases} cases, got {n}")
            if any(not 0 <= one <= n * UNIT for one in sums):
                raise ValueError(f"{name}: want sums from 0 to {n} cases' worth, got {sums}")

    def __add__(self, other: ThresholdSums) -> ThresholdSums:
        """The sums over both sets of cases; ValueError unless the thresholds are the same."""
        if self.thresholds != other.thresholds:
            raise ValueError(f"thresholds differ: {self.thresholds} and {other.thresholds}")
        return ThresholdSums(
            thresholds=self.thresholds,
            dice=tuple(a + b for a, b in zip(self.dice, other.dice, strict=True)),
            lesion_f1=tuple(a + b for a, b in zip(self.lesion_f1, other.lesion_f1, strict=True)),
            n_dice=self.n_dice + other.n_dice,
            n_lesion_f1=self.n_lesion_f1 + other.n_lesion_f1,
            n_cases=self.n_cases + other.n_cases,
        )

    @classmethod
    def none(cls, thresholds: Sequence[float] = THRESHOLDS) -> ThresholdSums:
        """The sums over no case."""
        zeros = (0,) * len(thresholds)
        return cls(
            thresholds=tuple(thresholds),
            dice=zeros,
            lesion_f1=zeros,
            n_dice=0,
            n_lesion_f1=0,
            n_cases=0,
        )

    @classmethod
    def of_case(cls, sweep: Sequence[ThresholdCounts]) -> ThresholdSums:
        """One case's figures, rounded."""
        dice = [_rounded(at.voxels.dice) for at in sweep]
        lesion_f1 = [_rounded(at.lesions.lesion_f1) for at in sweep]
        return cls(
            thresholds=tuple(at.threshold for at in sweep),
            dice=tuple(value or 0 for value in dice),
            lesion_f1=tuple(value or 0 for value in lesion_f1),
            n_dice=int(None not in dice),
            n_lesion_f1=int(None not in lesion_f1),
            n_cases=1,
        )

    def summed(self, by: By) -> tuple[tuple[int, ...], int]:
        """The sums of one figure per threshold, and over how many cases."""
        return (self.dice, self.n_dice) if by == "dice" else (self.lesion_f1, self.n_lesion_f1)

    def means(self, by: By) -> tuple[float, ...] | None:
        """Mean Dice, or mean lesion F1, per threshold; None where no case has one."""
        sums, n = self.summed(by)
        return tuple(one / (n * UNIT) for one in sums) if n else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdChoice:
    """A chosen decision threshold, and the sweep it was chosen from.

    by               which mean is the highest there, see `choose`
    split            description of the cases of the sweep
    n_cases          cases with a defined mean in the sweep
    thresholds       the grid, rising
    mean_dice, mean_lesion_f1   a mean a threshold, at the chosen smallest volume
    smallest_mm3     predicted lesions of less volume are dropped; None: not chosen, the recipe's
                     number of voxels holds
    smallest_grid_mm3   what it was chosen from, rising
    best_by_smallest    for each of them the best mean of the thresholds that may be chosen
    """

    threshold: float
    by: By
    split: str
    n_cases: int
    thresholds: tuple[float, ...]
    mean_dice: tuple[float, ...]
    mean_lesion_f1: tuple[float, ...]
    smallest_mm3: float | None = None
    smallest_grid_mm3: tuple[float, ...] = ()
    best_by_smallest: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self._check_smallest()
        if self.by not in get_args(By):
            raise ValueError(f"by: want one of {', '.join(get_args(By))}, got {self.by!r}")
        if self.n_cases < 1:
            raise ValueError(f"n_cases: want 1 or more, got {self.n_cases!r}")
        grid = (0.0, *self.thresholds, 1.0)
        if not all(low < high for low, high in itertools.pairwise(grid)):
            raise ValueError(f"thresholds: want them rising inside 0 to 1, got {self.thresholds}")
        if self.threshold not in self.thresholds:
            raise ValueError(f"threshold: want one of {self.thresholds}, got {self.threshold!r}")
        for name in ("mean_dice", "mean_lesion_f1"):
            means: tuple[float, ...] = getattr(self, name)
            if len(means) != len(self.thresholds) or not all(0 <= mean <= 1 for mean in means):
                raise ValueError(
                    f"{name}: want {len(self.thresholds)} means from 0 to 1, got {means}"
                )

    def _check_smallest(self) -> None:
        grid, best = self.smallest_grid_mm3, self.best_by_smallest
        if not all(low < high for low, high in itertools.pairwise((-1.0, *grid, 1e6))) or any(
            mm3 < 0 for mm3 in grid
        ):
            raise ValueError(f"smallest_grid_mm3: want them rising from 0 or more, got {grid}")
        if len(best) != len(grid) or not all(0 <= mean <= 1 for mean in best):
            raise ValueError(f"best_by_smallest: want {len(grid)} means from 0 to 1, got {best}")
        if self.smallest_mm3 not in (grid or (None,)):
            raise ValueError(f"smallest_mm3: want one of {grid}, got {self.smallest_mm3!r}")

    @property
    def at_edge(self) -> bool:
        """Whether the best threshold is the grid's first or last: a better one may lie beyond."""
        return self.threshold in (self.thresholds[0], self.thresholds[-1])


def sum_cases(
    sweeps: Iterable[Sequence[ThresholdCounts]], thresholds: Sequence[float] = THRESHOLDS
) -> ThresholdSums:
    """The sums over cases, one sweep each."""
    total = ThresholdSums.none(thresholds)
    for sweep in sweeps:
        total += ThresholdSums.of_case(sweep)
    return total


def choose(sums: ThresholdSums, *, by: By = "dice", split: str) -> ThresholdChoice | None:
    """The threshold with the highest mean; None where no case has both means.

    By lesion F1, of the thresholds that reach half of the best mean Dice: where a lesion counts as
    found at any overlap, calling all of the brain one lesion finds every lesion and has no false
    one, a lesion F1 of 1.

    Ties go to the threshold nearest 0.5, then to the lower one. Sums are compared, not means:
    whole numbers, so a tie is a tie.

    Source  Hussein et al. 2023 optimize thresholds on a subset of their own; the half and the rule
            for ties are chosen.
    """
    mean_dice, mean_lesion_f1 = sums.means("dice"), sums.means("lesion_f1")
    if mean_dice is None or mean_lesion_f1 is None:
        return None
    by_threshold, n_cases = sums.summed(by)
    best = max(
        (place for place, dice in enumerate(sums.dice) if 2 * dice >= max(sums.dice)),
        key=lambda index: (
            by_threshold[index],
            -round(abs(sums.thresholds[index] - 0.5), 9),  # 0.7 - 0.5 is not 0.5 - 0.3 in floats
            -sums.thresholds[index],
        ),
    )
    return ThresholdChoice(
        threshold=sums.thresholds[best],
        by=by,
        split=split,
        n_cases=n_cases,
        thresholds=sums.thresholds,
        mean_dice=mean_dice,
        mean_lesion_f1=mean_lesion_f1,
    )


def choose_of(
    sums: Sequence[ThresholdSums], smallest_mm3: Sequence[float], *, by: By, split: str
) -> ThresholdChoice | None:
    """The threshold and the smallest volume with the highest mean; None as in `choose`.

    sums           one for each smallest volume, over the same cases
    smallest_mm3   rising; without any, the only sums' threshold is chosen

    Ties go to the smaller volume, then as in `choose`: what is dropped for nothing is lost.
    """
    if not smallest_mm3:
        [only] = sums
        return choose(only, by=by, split=split)
    choices = [choose(one, by=by, split=split) for one in sums]
    if None in choices:
        return None
    best_of = [
        one.summed(by)[0][one.thresholds.index(choice.threshold)]
        for one, choice in zip(sums, choices, strict=True)
        if choice is not None
    ]
    best = max(range(len(sums)), key=lambda index: (best_of[index], -index))
    chosen = choices[best]
    assert chosen is not None, "none of them is"
    return dataclasses.replace(
        chosen,
        smallest_mm3=smallest_mm3[best],
        smallest_grid_mm3=tuple(smallest_mm3),
        best_by_smallest=tuple(best_of[i] / (chosen.n_cases * UNIT) for i in range(len(sums))),
    )


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value * UNIT)
