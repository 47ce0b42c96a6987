from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common.arrays import FloatArray
from common.imaging.preprocessing.chain import prepare_sessions
from common.imaging.preprocessing.settled_origins import STEP_MM, settled
from common.imaging.preprocessing.working_case import WorkingCase, WorkingImage
from common.imaging.volume import Volume, same_grid
from common.recipe.preprocessing import Preprocessing
from tests.orders import ORDERS, stored
from tests.volumes import brain_voxels, oblique_affine, stripped_brain, two_lesions


def at(volume: Volume, *origin_mm: float) -> Volume:
    affine = oblique_affine()
    affine[:3, 3] = origin_mm
    return Volume(volume.data, affine)


def here(volume: Volume) -> WorkingImage:
    return WorkingImage(volume=volume, to_common=np.eye(4))


def case_at(*origin_mm: float, centreline: FloatArray | None = None) -> WorkingCase:
    """FLAIR and lesions on one grid, but for 4e-6 mm; the T1w 7 mm higher."""
    x, y, z = origin_mm
    return WorkingCase(
        images={
            "FLAIR": here(at(stripped_brain(), x, y, z)),
            "T1w": here(at(stripped_brain(seed=1), x, y, z + 7)),
        },
        reference="FLAIR",
        lesions=here(at(two_lesions(), x - 4e-6, y, z + 4e-6)),
        centreline=centreline,
    )


def origin(image: WorkingImage | None) -> list[float]:
    assert image is not None
    found: list[float] = image.volume.affine[:3, 3].tolist()
    return found


def test_every_image_lies_at_whole_steps_and_its_mask_with_it() -> None:
    """-21.3371 x 128 = -2731.15; 30.7773 x 128 = 3939.49; 48.1 x 128 = 6156.8."""
    found = settled(case_at(-21.3371, 30.7773, 48.1, centreline=np.array([[1.0, 2, 3], [1, 2, 9]])))
    assert origin(found.images["FLAIR"]) == [-2731 / 128, 3939 / 128, 6157 / 128]
    assert origin(found.lesions) == origin(found.images["FLAIR"])
    assert origin(found.images["T1w"]) == [-2731 / 128, 3939 / 128, 7053 / 128]  # 55.1: 7052.8
    assert found.centreline is not None
    np.testing.assert_allclose(
        found.centreline[0], (1 + 0.15 / 128, 2 - 0.49 / 128, 3 + 0.2 / 128), atol=1e-4
    )


def test_a_mask_near_a_half_step_stays_on_its_images_grid() -> None:
    """x x 128 = 0.5 but for 1e-6: alone, FLAIR and mask would go to two steps."""
    found = settled(case_at(STEP_MM / 2 + 1e-6, 0.0, 0.0))
    assert found.lesions is not None
    assert same_grid(found.lesions.volume, found.images["FLAIR"].volume)


def test_a_case_at_whole_steps_is_left_as_it_is() -> None:
    case = case_at(-61.5, 40.25, 17.0)
    found = settled(case)
    for name, image in case.images.items():
        np.testing.assert_array_equal(found.images[name].volume.affine, image.volume.affine)


@settings(deadline=None, max_examples=15)
@given(st.tuples(*[st.floats(-90, 90)] * 3), st.sampled_from(ORDERS))
def test_the_moves_lead_from_where_the_header_places_the_image(
    origin_mm: tuple[float, float, float], order: str
) -> None:
    """Not registered, so that the common space is the settled one: half a step away at most."""
    image = at(stripped_brain(), *origin_mm)
    chosen = Preprocessing.from_table({"steps": ["brain", "resample", "crop"]}, where="test")
    brain = here(at(Volume(brain_voxels(), oblique_affine()), *origin_mm))
    case = WorkingCase(images={"FLAIR": here(stored(image, order))}, reference="FLAIR", brain=brain)
    [prepared] = prepare_sessions([case], chosen)
    move = prepared.moves["FLAIR"]
    steps = (image.affine[:3, 3] + move[:3, 3]) / STEP_MM
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert np.abs(move[:3, 3]).max() <= STEP_MM / 2 + 1e-9
    np.testing.assert_array_equal(move[:3, :3], np.eye(3))
