"""Which of a site's cases train, and which are for validation, for the threshold, for the test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import cc3d
import numpy as np

from common.arrays import FloatArray, IndexArray
from common.errors import ConfigError, SiteDataError
from common.imaging.dataset.prepared import PreparedCase

CONNECTIVITY: Final = 18
"""Voxels joined over faces and edges are one lesion here, as in the preset `hussein`."""

Part = Literal["training", "validation", "threshold", "test"]

PARTS: tuple[Part, ...] = ("training", "validation", "threshold", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Shares of a site's subjects that are kept from training; the others train.

    validation   scored every round
    threshold    what the decision threshold is chosen on
    test         scored once, at the end
    """

    validation: float = 0.0
    threshold: float = 0.0
    test: float = 0.0

    def __post_init__(self) -> None:
        kept = (self.validation, self.threshold, self.test)
        if not (all(0 <= share < 1 for share in kept) and sum(kept) < 1):
            raise ConfigError(
                "shares kept from training: want each 0 or more and their sum below 1, got "
                f"validation {self.validation!r}, threshold {self.threshold!r}, test {self.test!r}"
            )

    @property
    def training(self) -> float:
        """Share of the subjects that train."""
        return 1 - self.validation - self.threshold - self.test


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The cases of each part, in the order they came; a subject is in one part only.

    n_new_subjects, n_lost_subjects   that came, and that are gone, since the split was made
    """

    training: list[PreparedCase]
    validation: list[PreparedCase]
    threshold: list[PreparedCase]
    test: list[PreparedCase]
    n_new_subjects: int = 0
    n_lost_subjects: int = 0

    @classmethod
    def of_parts(
        cls, parts: Mapping[Part, list[PreparedCase]], *, n_new: int = 0, n_lost: int = 0
    ) -> Split:
        """The split of these parts, all four of them."""
        return cls(
            training=parts["training"],
            validation=parts["validation"],
            threshold=parts["threshold"],
            test=parts["test"],
            n_new_subjects=n_new,
            n_lost_subjects=n_lost,
        )


class PartSummary(NamedTuple):
    """What one part of a split holds; lesions are 18-connected, a case's from the reference."""

    n_subjects: int
    n_cases: int
    n_lesions: int
    lesion_ml: float


def split_cases(
    cases: Sequence[PreparedCase],
    *,
    shares: Shares,
    method: Literal["random", "balanced"],
    seed: int,
) -> Split:
    """The cases in four parts; a subject with all its sessions is in one of them.

    shares   of the subjects
    random   subjects are shuffled; each kept part takes its share, rounded to the nearest number
             and a half down; the rest trains, at least one. Lesions are looked at only where no
             subject with a lesion would train: then the last of them in the shuffled order changes
             places with the first that trains.
    balanced   subjects with lesions and those without are split apart, so that each part has its
             share of both; among the former lesion volume is balanced (`balanced_parts`). Every
             number of subjects is the share rounded up or down, both kinds together as well where
             that leaves a subject with lesions to train. SiteDataError where a case has no
             reference.
    Source   Hussein et al. 2023: subjects kept whole, lesion load balanced over the parts. How, and
             that lesion-free subjects are stratified apart, is chosen.
    """
    subjects = sorted({case.subject for case in cases})
    if method == "random":
        bearing = {case.subject for case in cases if case.trainable}
        part_of = _random_parts(subjects, bearing, shares, seed)
    else:
        part_of = _balanced_subjects(subjects, cases, shares, seed)
    return Split.of_parts(
        {part: [case for case in cases if part_of[case.subject] == part] for part in PARTS}
    )


def part_facts(split: Split) -> dict[Part, PartSummary]:
    """Part -> its subjects, cases, lesions and their volume in mL, for a figure of the split."""
    return {part: _facts(getattr(split, part)) for part in PARTS}


def balanced_parts(loads: Sequence[float], sizes: Sequence[int]) -> IndexArray:
    """The part of each subject, (n,), so that every part's load is close to its wish.

    loads   of the subjects; they are assigned in this order, so give the heaviest first
    sizes   subjects of each part, n together
    A part's wish is the mean load times its size. Each subject goes to the part with room whose
    load is furthest below its wish; then, as long as the sum of squared distances to the wishes
    gets smaller, the best exchange of two subjects is made. In the end no two parts' distances to
    their wishes differ by more than the heaviest and the lightest subject do: were it more, some
    exchange between them would help. The same input gives the same parts.
    """
    load = np.asarray(loads, dtype=np.float64)
    room = np.array(sizes)
    if room.sum() != len(load):
        raise ValueError(f"want {len(load)} places for as many subjects, got {room.sum()}")
    missing = room * (load.mean() if len(load) else 0.0)
    parts = np.empty(len(load), np.intp)
    for subject, amount in enumerate(load):
        part = int(np.argmax(np.where(room > 0, missing, -np.inf)))
        parts[subject] = part
        missing[part] -= amount
        room[part] -= 1
    while (exchange := _best_exchange(load, parts, missing)) is not None:
        one, other = exchange
        change = load[one] - load[other]
        missing[parts[one]] += change
        missing[parts[other]] -= change
        parts[one], parts[other] = parts[other], parts[one]
    return parts


def _best_exchange(
    load: FloatArray, parts: IndexArray, missing: FloatArray
) -> tuple[int, int] | None:
    """Two subjects of different parts whose exchange helps most, or None where none helps."""
    best, found = 1e-9 * float(np.square(load).sum()), None
    for first, second in itertools.combinations(range(len(missing)), 2):
        ours, theirs = np.flatnonzero(parts == first), np.flatnonzero(parts == second)
        if not (ours.size and theirs.size):
            continue
        change = load[ours][:, None] - load[theirs][None, :]
        # of missing_a² + missing_b² where a gives `change` to b
        gain = 2 * change * (missing[second] - missing[first]) - 2 * change**2
        at = int(gain.argmax())
        if gain.flat[at] > best:
            best = float(gain.flat[at])
            found = int(ours[at // len(theirs)]), int(theirs[at % len(theirs)])
    return found


def _random_parts(
    subjects: Sequence[str], bearing: Set[str], shares: Shares, seed: int
) -> Mapping[str, str]:
    """Subject -> part; one of `bearing`, the subjects with lesions, trains if there is any."""
    order = np.random.default_rng(seed).permutation(len(subjects))
    part_of = dict.fromkeys(subjects, "training")
    done = 0
    for part in PARTS[1:]:
        wish = round(getattr(shares, part) * len(subjects), 9)
        n_kept = min(math.ceil(wish - 0.5), max(len(subjects) - 1 - done, 0))
        part_of |= {subjects[index]: part for index in order[done : done + n_kept]}
        done += n_kept
    shuffled = [subjects[index] for index in order]
    kept = [subject for subject in shuffled[:done] if subject in bearing]
    if kept and not any(subject in bearing for subject in shuffled[done:]):
        last, first = kept[-1], shuffled[done]
        part_of[last], part_of[first] = part_of[first], part_of[last]
    return part_of


def _balanced_subjects(
    subjects: Sequence[str], cases: Sequence[PreparedCase], shares: Shares, seed: int
) -> Mapping[str, str]:
    """The seed says which lesion-free subject goes where, and parts equal lesion loads."""
    load = dict.fromkeys(subjects, (0.0, 0))
    for case in cases:
        ml, n = load[case.subject]
        load[case.subject] = (ml + case.lesion_volume_ml, n + _n_lesions(case))
    random = np.random.default_rng(seed)
    shuffled = [subjects[index] for index in random.permutation(len(subjects))]
    ordered = sorted(shuffled, key=lambda subject: load[subject], reverse=True)
    bearing = [subject for subject in ordered if load[subject][1] > 0]
    free = ordered[len(bearing) :]
    of_bearing, of_free = _sizes(len(bearing), len(free), shares)
    parts = balanced_parts([load[subject][0] for subject in bearing], of_bearing).tolist()
    parts += np.repeat(np.arange(len(PARTS)), of_free).tolist()
    return {subject: PARTS[part] for subject, part in zip(ordered, parts, strict=True)}


def _sizes(n_bearing: int, n_free: int, shares: Shares) -> tuple[list[int], list[int]]:
    """Subjects with lesions and without in each part.

    Of all ways to round both kinds' wishes up or down, the one whose totals come closest to the
    totals' wishes (least largest distance, then least squares, then least squares from both kinds'
    own wishes, then the first). One way at least rounds the totals up or down as well: Bacharach
    1966, doi:10.1287/mnsc.12.9.732. A way without a subject with lesions to train is not taken.
    """
    share = np.array([getattr(shares, part) for part in PARTS])
    total = share * (n_bearing + n_free)
    of_kinds = np.outer((n_bearing, n_free), share)

    def badness(sizes: tuple[list[int], list[int]]) -> tuple[float, float, float]:
        off = np.abs(np.add(*sizes) - total).round(9)
        own = np.square(np.array(sizes) - of_kinds).sum().round(9)
        return float(off.max()), float(np.square(off).sum()), float(own)

    trains = [sizes for sizes in _rounded(n_bearing, share) if sizes[0] or not n_bearing]
    return min(itertools.product(trains, _rounded(n_free, share)), key=badness)


def _rounded(n: int, share: FloatArray) -> list[list[int]]:
    """Every way to round `share * n` up or down so that the sum is `n`."""
    wish = (share * n).round(9)
    low, high = np.floor(wish).astype(int), np.ceil(wish).astype(int)
    choices = itertools.product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))
    return [list(sizes) for sizes in choices if sum(sizes) == n]


def _facts(cases: Sequence[PreparedCase]) -> PartSummary:
    return PartSummary(
        n_subjects=len({case.subject for case in cases}),
        n_cases=len(cases),
        n_lesions=sum(_n_lesions(case) for case in cases),
        lesion_ml=sum(case.lesion_volume_ml for case in cases),
    )


def _n_lesions(case: PreparedCase) -> int:
    if case.lesions is None:
        raise SiteDataError(
            f"{case.name}: want a reference in every case that is split by its lesions, found a "
            "case without. Add the lesion mask (an empty one where there is no lesion), or leave "
            "the case out."
        )
    _, n_lesions = cc3d.connected_components(
        np.array(case.lesions),
        connectivity=CONNECTIVITY,
        return_N=True,  # a copy: may be read only
    )
    return int(n_lesions)
