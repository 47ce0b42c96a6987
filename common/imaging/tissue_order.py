"""Are fluid, grey and white matter as bright in an image as its modality has them? A heuristic."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.arrays import BoolArray, Float32Array, FloatArray
from common.imaging.brain_mask import box_of
from common.imaging.volume import Volume, read_volume, same_grid

STEP_MM = 3.0
"""Voxels are averaged to about this size first: the averages over a tissue need no more."""

MARGIN_MM = 4.0
"""This much around the reference's lesions is left out: a lesion is no white matter."""

SMALLEST_BRAIN_ML, LARGEST_BRAIN_ML = 500.0, 2500.0
"""A mask outside is no whole brain, and the maps do not fit it; chosen."""

LOWEST_MM = 90.0
"""A brain that reaches over less than this along some axis is cut off; chosen."""

WHITE, GREY, FLUID = 0.75, 0.55, 0.6
"""Probabilities of the maps from which a voxel counts as that tissue; chosen."""

MOST = 1.0
"""No two tissues differ by more than this, in units of the median: the values are damaged. Chosen:
they differ by 0.64 at most in the images below."""

FEWEST = 200
"""Voxels of a tissue that are too few for its median; chosen."""

EXCHANGED = -0.05
"""White over grey in the T1w less the same in the FLAIR, below which the two are exchanged."""

WHITE_DARKER = -0.04
"""White over grey of a T1w below which its order is odd."""

WHITE_BRIGHTER = 0.15
"""White over grey of a FLAIR or T2w above which its order is odd."""

FLUID_ODD = 0.06
"""Fluid over grey of a T1w or FLAIR above, and of a T2w below minus this is odd.

All four chosen by measurement, on 36 real images and 36 phantoms as they should be. White over grey
is 0.04 to 0.51 in the T1w, -0.17 to 0.09 in the FLAIR and -0.21 to -0.02 in the T2w. In 27 of 28
pairs the T1w has more than the FLAIR by 0.06 to 0.41; in the one with 73 mL of lesions both have as
much, and the T1w 0.10 more where the lesions are known. Fluid over grey is -0.66 to -0.02 in T1w
and FLAIR, 0.10 to 0.37 in the T2w."""


@dataclass(frozen=True, slots=True)
class TissueContrast:
    """How much brighter one tissue is than another, in units of the brain's median.

    white   white matter over grey matter
    fluid   fluid over grey matter
    """

    white: float
    fluid: float


def tissue_contrast(
    image: Volume, brain: Volume, lesions: Volume | None = None
) -> TissueContrast | None:
    """The order of the tissues in `image`, or None where it cannot be said.

    brain     bool, on the image's grid
    lesions   the reference on that grid, whose surroundings are left out; else not looked at

    The tissue maps of MNI152 are laid over the brain's box, stretched along right, front and top
    and not registered: medians over so many voxels do not mind. Chosen for its speed.
    """
    inside = brain.data.astype(np.bool_)
    volume_ml = np.count_nonzero(inside) * image.voxel_volume_mm3 / 1000
    if not SMALLEST_BRAIN_ML <= volume_ml <= LARGEST_BRAIN_ML:
        return None
    looked_at = inside
    if lesions is not None and same_grid(lesions, image):
        looked_at = inside & ~_around(lesions)
    box = box_of(inside)
    cut = Volume(image.data[box], image.affine.copy())
    cut.affine[:3, 3] += image.affine[:3, :3] @ [part.start for part in box]
    values, share, affine = _averages(cut, looked_at[box])
    whole = _averages(cut, inside[box])[1] > 0.5
    at = _world(np.argwhere(whole), affine)
    here = share > 0.5
    low, high = np.percentile(at, (0.5, 99.5), axis=0)
    if not here.any() or float((high - low).min()) < LOWEST_MM:
        return None
    white, grey, fluid = _maps_at(_world(np.argwhere(here), affine), low, high)
    seen = values[here]
    tissues = seen[white > WHITE], seen[grey > GREY], seen[fluid > FLUID]
    middle = float(np.median(seen))
    if min(map(len, tissues)) < FEWEST or not middle > 0:
        return None
    of_white, of_grey, of_fluid = (float(np.median(tissue)) for tissue in tissues)
    found = TissueContrast((of_white - of_grey) / middle, (of_fluid - of_grey) / middle)
    return found if max(abs(found.white), abs(found.fluid)) <= MOST else None


def order_doubts(contrasts: Mapping[str, TissueContrast]) -> Iterator[tuple[str, str]]:
    """Modality, or several with commas, and what is odd about its tissues.

    contrasts   BIDS suffix -> contrast; only FLAIR, T1w and T2w have an order that is known
    """
    flair, t1w = contrasts.get("FLAIR"), contrasts.get("T1w")
    exchanged = flair is not None and t1w is not None and t1w.white - flair.white < EXCHANGED
    if exchanged and flair is not None and t1w is not None:
        yield (
            "FLAIR, T1w",
            f"white matter is brighter than grey by {flair.white:+.0%} in the FLAIR and by "
            f"{t1w.white:+.0%} in the T1w, where the T1w should have more: are the two exchanged?",
        )
    for modality, found in contrasts.items():
        doubt = _doubt(modality, found)
        if doubt is not None and not (exchanged and modality in ("FLAIR", "T1w")):
            yield modality, doubt


def _doubt(modality: str, found: TissueContrast) -> str | None:
    odd = "is it another contrast, or inverted?"
    if modality in ("T1w", "FLAIR") and found.fluid > FLUID_ODD:
        return (
            f"fluid is brighter than grey matter by {found.fluid:+.0%}, where a {modality} has it "
            f"darker: {odd}"
        )
    if modality == "T2w" and found.fluid < -FLUID_ODD:
        return (
            f"fluid differs from grey matter by {found.fluid:+.0%}, where a T2w has it brighter: "
            f"{odd}"
        )
    if modality == "T1w" and found.white < WHITE_DARKER:
        return (
            f"white matter differs from grey by {found.white:+.0%}, where a T1w has it brighter: "
            f"{odd}"
        )
    if modality in ("FLAIR", "T2w") and found.white > WHITE_BRIGHTER:
        return (
            f"white matter is brighter than grey by {found.white:+.0%}, where a {modality} has it "
            f"about as bright or darker: {odd}"
        )
    return None


def _around(lesions: Volume) -> BoolArray:
    """The lesions with `MARGIN_MM` around them, along the axes."""
    from scipy import ndimage  # here, so that --help does not wait for it

    reach = np.maximum(1, np.rint(MARGIN_MM / lesions.spacing_mm)).astype(int)
    grown: BoolArray = ndimage.maximum_filter(lesions.data > 0, size=(2 * reach + 1).tolist())
    return grown


def _averages(image: Volume, where: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means over blocks of about `STEP_MM` of the voxels in `where`, their share, the affine."""
    n = np.clip(np.floor(STEP_MM / image.spacing_mm), 1, image.data.shape).astype(int)
    shape = [size // step for size, step in zip(image.data.shape, n, strict=True)]

    def of_blocks(data: Float32Array | BoolArray) -> FloatArray:
        whole = data[tuple(slice(size * step) for size, step in zip(shape, n, strict=True))]
        blocks = whole.reshape(shape[0], n[0], shape[1], n[1], shape[2], n[2])
        return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float64))

    share = of_blocks(where)
    values = of_blocks(np.where(where, image.data, 0)) / np.where(share > 0, share, 1)
    affine = image.affine.copy()
    affine[:3, 3] += image.affine[:3, :3] @ ((n - 1) / 2)
    affine[:3, :3] *= n
    return values, share, affine


def _world(index: npt.NDArray[np.integer[Any]], affine: FloatArray) -> FloatArray:
    return np.asarray(index @ affine[:3, :3].T + affine[:3, 3])


def onto_template(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scale and offset along x, y and z, (3,) each: template = place * scale + offset.

    low, high   the box of the image's brain (0.5 and 99.5 % of its voxels), RAS+ world mm. Its
                lower end depends on how much of the brain stem it holds: where it does not fit,
                the width gives the scale, from the top down
    """
    first, last = _maps()[-1]
    scale = (last - first) / (high - low)
    offset = first - low * scale
    across = float(scale[:2].mean())
    if abs(scale[2] / across - 1) > 0.15:
        scale[2] = across
        offset[2] = last[2] - high[2] * across
    return scale, offset


def _maps_at(
    at_mm: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Probability of white, grey and fluid at each place, (n,) each; 0 outside the template.

    low, high   as in `onto_template`
    """
    white, grey, fluid, affine, _ = _maps()
    scale, offset = onto_template(low, high)
    there = at_mm * scale + offset
    index = np.rint((there - affine[:3, 3]) / np.diag(affine)[:3]).astype(int)
    inside: BoolArray = np.asarray(((index >= 0) & (index < white.shape)).all(axis=1))
    index = np.where(inside[:, None], index, 0)
    found = [np.where(inside, tissue[tuple(index.T)], 0) for tissue in (white, grey, fluid)]
    return found[0], found[1], found[2]


@functools.cache
def _maps() -> tuple[
    Float32Array, Float32Array, Float32Array, FloatArray, tuple[FloatArray, FloatArray]
]:
    """White, grey and fluid of MNI152, 0 to 1, their affine, and the box of the brain, mm.

    Source   the ICBM 152 2009a maps in nilearn's package, scaled and thresholded as it does. Read
             from its files: to import it takes longer than all the rest.
    """
    t1w, grey, white = (_scaled(kind) for kind in ("t1", "gm", "wm"))
    affine = t1w.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    every_second = (slice(None, None, 2),) * 3  # 2 mm
    inside: BoolArray = np.asarray(t1w.data[every_second] > 0.2)
    of_grey, of_white = (
        np.where(inside, tissue.data[every_second], 0).astype(np.float32)
        for tissue in (grey, white)
    )
    fluid = np.where(inside, np.clip(1 - of_grey - of_white, 0, 1), 0).astype(np.float32)
    low, high = np.percentile(_world(np.argwhere(inside), affine), (0.5, 99.5), axis=0)
    return of_white, of_grey, fluid, affine, (low, high)


def _scaled(kind: str) -> Volume:
    """One of the template's files, from 0 to 1."""
    found = importlib.util.find_spec("nilearn")
    assert found is not None, "nilearn is a requirement"
    assert found.submodule_search_locations is not None, "it is a package"
    folder = Path(found.submodule_search_locations[0]) / "datasets" / "data"
    image = read_volume(folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz")
    return Volume(image.data / image.data.max(), image.affine)
