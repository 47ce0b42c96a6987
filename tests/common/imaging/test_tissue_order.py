from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.imaging.brain_mask import brain_mask_of, looks_stripped
from common.imaging.tissue_order import TissueContrast, _maps, order_doubts, tissue_contrast
from common.imaging.volume import Volume, read_volume
from tests.tissue_brains import SHAPE, brain_of, whole_brain
from tests.volumes import brain_mask, stripped_brain

SITES = Path(__file__).parents[4] / "shared" / "data" / "sites"


def contrast_of(modality: str) -> TissueContrast:
    image = brain_of(modality)
    found = tissue_contrast(image, Volume(whole_brain(), image.affine))
    assert found is not None
    return found


def test_white_over_grey_is_measured_in_units_of_the_median() -> None:
    # T1w: the median of fluid 150, grey 480 and white 700 is grey's, more than half of the volume:
    # (700 - 480) / 480 = 0.46 where the maps fit exactly; they are laid on roughly
    assert 0.2 < contrast_of("T1w").white < 0.46
    # FLAIR: (260 - 300) / 300 = -0.13
    assert -0.13 < contrast_of("FLAIR").white < -0.05


def test_images_as_they_should_be_raise_no_doubt() -> None:
    assert not list(order_doubts({name: contrast_of(name) for name in ("FLAIR", "T1w", "T2w")}))


@pytest.mark.parametrize(
    ("contrasts", "expected"),
    [
        pytest.param(
            {"FLAIR": TissueContrast(0.2, -0.2), "T1w": TissueContrast(0.1, -0.2)},
            ["FLAIR, T1w"],
            id="white is 0.1 less in the T1w than in the FLAIR, limit -0.05",
        ),
        pytest.param(
            {"FLAIR": TissueContrast(0.08, -0.2), "T1w": TissueContrast(0.04, -0.2)},
            [],
            id="0.04 less is within the limit",
        ),
        pytest.param({"T1w": TissueContrast(-0.05, -0.2)}, ["T1w"], id="white darker in a T1w"),
        pytest.param({"FLAIR": TissueContrast(0.16, -0.2)}, ["FLAIR"], id="a T1w called FLAIR"),
        pytest.param({"FLAIR": TissueContrast(-0.1, 0.3)}, ["FLAIR"], id="bright fluid in a FLAIR"),
        pytest.param({"T2w": TissueContrast(-0.1, -0.1)}, ["T2w"], id="dark fluid in a T2w"),
        pytest.param({"PDw": TissueContrast(0.9, 0.9)}, [], id="an order that nobody knows"),
    ],
)
def test_doubts_name_their_modalities(
    contrasts: dict[str, TissueContrast], expected: list[str]
) -> None:
    assert [modality for modality, _ in order_doubts(contrasts)] == expected


def test_an_inverted_brain_has_its_fluid_brighter_than_its_grey_matter() -> None:
    image = brain_of("FLAIR")
    inside = whole_brain()
    inverted = np.where(inside, image.data.max() + 10 - image.data, 0).astype(np.float32)
    found = tissue_contrast(Volume(inverted, image.affine), Volume(inside, image.affine))
    assert found is not None
    (doubt,) = order_doubts({"FLAIR": found})
    assert "inverted" in doubt[1]


def test_the_storage_order_changes_nothing() -> None:
    image, inside = brain_of("T1w"), whole_brain()
    expected = tissue_contrast(image, Volume(inside, image.affine))
    flipped = image.affine.copy()
    flipped[:3, 3] += image.affine[:3, 0] * (SHAPE[0] - 1)
    flipped[:3, 0] *= -1
    turned = flipped[:, [2, 0, 1, 3]]
    moved = Volume(np.ascontiguousarray(image.data[::-1].transpose(2, 0, 1)), turned)
    brain = Volume(np.ascontiguousarray(inside[::-1].transpose(2, 0, 1)), turned)
    found = tissue_contrast(moved, brain)
    assert expected is not None
    assert found is not None
    np.testing.assert_allclose(
        (found.white, found.fluid), (expected.white, expected.fluid), atol=0.02
    )


def test_lesions_are_left_out_of_the_white_matter() -> None:
    image, inside = brain_of("FLAIR"), whole_brain()
    plain = tissue_contrast(image, Volume(inside, image.affine))
    marked = np.zeros(SHAPE, np.uint8)
    marked[:22, 10:40, 6:20] = 1  # half of the brain
    marked[~inside] = 0
    lesioned = Volume(np.where(marked, 600, image.data).astype(np.float32), image.affine)
    brain = Volume(inside, image.affine)
    with_them = tissue_contrast(lesioned, brain)
    without = tissue_contrast(lesioned, brain, Volume(marked, image.affine))
    assert plain is not None
    assert with_them is not None
    assert without is not None
    assert with_them.white > plain.white + 0.08
    assert abs(without.white - plain.white) < 0.05


def test_the_maps_are_those_that_nilearn_gives() -> None:
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_wm_template

    white, _, fluid, affine, _ = _maps()
    brain, theirs = load_mni152_brain_mask(resolution=1), load_mni152_wm_template(resolution=1)
    inside = np.asarray(brain.dataobj)[::2, ::2, ::2] > 0
    expected = np.where(inside, np.asarray(theirs.dataobj)[::2, ::2, ::2], 0)
    np.testing.assert_allclose(white, expected, atol=1e-6)
    assert not fluid[~inside].any()
    np.testing.assert_array_equal(affine[:3, :3], 2 * brain.affine[:3, :3])
    np.testing.assert_array_equal(affine[:3, 3], brain.affine[:3, 3])


def test_what_is_no_whole_brain_is_not_judged() -> None:
    assert tissue_contrast(stripped_brain(), brain_mask()) is None  # about a millilitre
    image, inside = brain_of("T1w"), whole_brain()
    slab = inside.copy()
    slab[:, :, :10] = False
    slab[:, :, 18:] = False  # 8 slices of 6 mm
    assert tissue_contrast(image, Volume(slab, image.affine)) is None


@pytest.mark.skipif(not SITES.is_dir(), reason=f"no real images at {SITES}")
@pytest.mark.parametrize("case", ["ljubljana-cs/sub-LJ3T007", "south-carolina/sub-SC01"])
def test_real_brains_are_in_order_and_exchanged_ones_are_not(case: str) -> None:
    folder = SITES / case / "anat"
    images = {name: read_volume(next(folder.glob(f"sub-*[!m]_{name}.nii.gz"))) for name in NAMES}
    assert all(looks_stripped(image) for image in images.values())
    brain = brain_mask_of(list(images.values()))
    found = {name: tissue_contrast(image, brain) for name, image in images.items()}
    known = {name: one for name, one in found.items() if one is not None}
    assert not list(order_doubts(known))
    exchanged = {"FLAIR": known["T1w"], "T1w": known["FLAIR"]}
    assert [modality for modality, _ in order_doubts(exchanged)] == ["FLAIR, T1w"]


NAMES = ("FLAIR", "T1w")
