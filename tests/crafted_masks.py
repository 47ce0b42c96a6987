"""Pairs of masks with a story, to be scored by hand.

Voxels measure 1 x 0.5 x 2 mm = 1 mm3, so a lesion of more than 3 mm3 has 4 voxels or more.
`line(a, b, j, k)` is the voxels i = a .. b - 1 of one row; rows two apart do not touch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.arrays import BoolArray

Box = tuple[slice, slice, slice]

SPACING_MM = (1.0, 0.5, 2.0)
SHAPE = (50, 12, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The masks of one case, (i, j, k)."""

    reference: BoolArray
    prediction: BoolArray


def line(start: int, end: int, j: int = 1, k: int = 1) -> Box:
    return slice(start, end), slice(j, j + 1), slice(k, k + 1)


def block(i: tuple[int, int], j: tuple[int, int], k: tuple[int, int]) -> Box:
    return slice(*i), slice(*j), slice(*k)


def mask(*boxes: Box) -> BoolArray:
    filled = np.zeros(SHAPE, dtype=np.bool_, order="F")
    for box in boxes:
        filled[box] = True
    return filled


def covered_by_alpha_exactly() -> Pair:
    """Of 40 voxels 4 are covered: 10 %, which is not above alpha."""
    return Pair(mask(line(0, 40)), mask(line(0, 4)))


def covered_by_just_more_than_alpha() -> Pair:
    """Of 40 voxels 5 are covered: found, though too little to confirm the prediction."""
    return Pair(mask(line(0, 40)), mask(line(0, 5)))


def outside_by_beta_exactly() -> Pair:
    """Of 20 predicted voxels 14 lie outside: 70 %, which is not above beta."""
    return Pair(mask(line(0, 6)), mask(line(0, 20)))


def outside_by_more_than_beta() -> Pair:
    """Of 20 predicted voxels 15 lie outside: too large to find the lesion, yet confirmed by it."""
    return Pair(mask(line(0, 5)), mask(line(0, 20)))


def three_fragments() -> Pair:
    """One lesion is found as three fragments, a voxel apart."""
    return Pair(mask(line(1, 15)), mask(line(1, 5), line(6, 10), line(11, 15)))


def one_over_two() -> Pair:
    """One prediction runs over two lesions and the four voxels between them."""
    return Pair(mask(line(1, 5), line(9, 13)), mask(line(1, 13)))


def oversized_over_two() -> Pair:
    """One prediction over two lesions is so large that it finds neither."""
    return Pair(mask(line(0, 4), line(8, 12)), mask(line(0, 40)))


def chain() -> Pair:
    """Two lesions and three predictions overlap in a chain; the middle one bridges the two."""
    return Pair(mask(line(0, 10), line(12, 22)), mask(line(0, 4), line(8, 14), line(18, 22)))


def explained_by_gamma_exactly() -> Pair:
    """A good prediction explains 13 of 20, so the oversized second one is not looked at."""
    return Pair(mask(line(0, 21)), mask(line(0, 13), line(14, 44)))


def explained_by_less_than_gamma() -> Pair:
    """A good prediction explains 12 of 20, so the oversized second one loses the lesion."""
    return Pair(mask(line(0, 21)), mask(line(0, 12), line(13, 43)))


def small_component_under_a_prediction() -> Pair:
    """A prediction lies on a lesion and on a component of 3 mm3, which counts as background."""
    return Pair(mask(line(0, 10), line(12, 15)), mask(line(7, 18)))


def small_lesion_under_a_prediction() -> Pair:
    """The same prediction, but the component has 4 voxels and is a lesion."""
    return Pair(mask(line(0, 10), line(12, 16)), mask(line(7, 18)))


def two_of_three_found() -> Pair:
    """One prediction finds two of three lesions, another one is false."""
    return Pair(mask(line(0, 5), line(10, 15), line(20, 25)), mask(line(0, 15), line(40, 44)))


def one_missed() -> Pair:
    """Of lesions of 6 and 4 voxels, 4 mm apart along j, only the larger one is predicted."""
    return Pair(mask(line(2, 8, 1), line(2, 6, 9)), mask(line(2, 8, 1)))


def side_by_side() -> Pair:
    """A prediction begins where the lesion ends: they touch and share nothing."""
    return Pair(mask(line(0, 10)), mask(line(10, 20)))


def one_shared_voxel() -> Pair:
    """Lesion and prediction of 20 voxels share one."""
    return Pair(mask(line(0, 20)), mask(line(19, 39)))


def blocks_that_touch_by_an_edge() -> Pair:
    """The reference is two blocks of 4 voxels that meet in an edge; one of them is predicted."""
    one, other = block((2, 4), (2, 4), (2, 3)), block((4, 6), (4, 6), (2, 3))
    return Pair(mask(one, other), mask(one))


def blocks_that_touch_by_a_corner() -> Pair:
    """The reference is two blocks of 4 voxels that meet in a corner; one of them is predicted."""
    one, other = block((2, 4), (2, 4), (2, 3)), block((4, 6), (4, 6), (3, 4))
    return Pair(mask(one, other), mask(one))


def one_of_3_missed_and_one_of_3_false() -> Pair:
    """A lesion of 4 mm3 is found; one of 3 mm3 is missed and another of 3 mm3 is false."""
    return Pair(mask(line(0, 4), line(10, 13)), mask(line(0, 4), line(20, 23)))


def only_small_in_the_reference() -> Pair:
    """The reference holds 3 mm3, and a prediction of 6 mm3 covers them."""
    return Pair(mask(line(0, 3)), mask(line(0, 6)))


def only_small_in_the_prediction() -> Pair:
    """A prediction of 3 mm3 lies within a lesion of 6 mm3."""
    return Pair(mask(line(0, 6)), mask(line(0, 3)))


def nothing_predicted() -> Pair:
    """A lesion of 6 voxels, and an empty prediction."""
    return Pair(mask(line(0, 6)), mask())


def nothing_to_find() -> Pair:
    """An empty reference, and predictions of 5 and of 3 voxels."""
    return Pair(mask(), mask(line(0, 5), line(10, 13)))


def moved_along_i() -> Pair:
    """A line of 8 voxels is predicted one voxel further along itself."""
    return Pair(mask(line(2, 10)), mask(line(3, 11)))


def moved_along_k() -> Pair:
    """A line of 4 voxels is predicted in the next slice."""
    return Pair(mask(line(2, 6, 1, 2)), mask(line(2, 6, 1, 3)))


def stray_voxel() -> Pair:
    """A perfect prediction of 40 voxels, and one voxel more 6 mm away from it."""
    return Pair(mask(line(0, 40)), mask(line(0, 40), line(45, 46)))


def hole_in_the_middle() -> Pair:
    """A block of 5 x 5 x 5 voxels is predicted without its central voxel."""
    prediction = mask(block((10, 15), (4, 9), (1, 6)))
    prediction[12, 6, 3] = False
    return Pair(mask(block((10, 15), (4, 9), (1, 6))), prediction)


def in_the_corner_of_the_image() -> Pair:
    """A block of 3 x 3 x 3 voxels in the corner of the image is predicted a slice too thin."""
    return Pair(mask(block((0, 3), (0, 3), (0, 3))), mask(block((0, 3), (0, 3), (0, 2))))
