from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
import pytest

from common.figures.case_picture import case_picture
from common.imaging.dataset.prepared import PreparedCase
from common.recipe.task import Task

LESIONS = Task(modalities=("FLAIR",))
SHAPE = (20, 24, 12)


def case() -> PreparedCase:
    """A brain with one lesion off the midline."""
    random = np.random.default_rng(0)
    brain = np.zeros(SHAPE, bool)
    brain[3:17, 3:21, 2:10] = True
    lesions = np.zeros(SHAPE, bool)
    lesions[5:8, 8:12, 4:7] = True
    image = np.where(brain, random.normal(size=SHAPE) + 3 * lesions, 0).astype(np.float32)
    return PreparedCase(
        subject="sub-01",
        session=None,
        control=False,
        image=image[None],
        brain=brain,
        lesions=lesions,
        crop_start=(0, 0, 0),
        grid_shape=SHAPE,
        affine=np.diag([2.0, 2.0, 3.0, 1.0]),
    )


def test_left_is_not_drawn_as_right() -> None:
    plain = case()
    assert plain.lesions is not None
    found = np.roll(plain.lesions, 2, axis=0)
    title = "lyon, sub-01, Dice 0.33"
    picture = case_picture(plain, found, title=title, task=LESIONS)
    assert case_picture(plain, found[::-1], title=title, task=LESIONS) != picture


def test_two_dates_are_drawn_one_below_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, object] = {}

    def kept(images: object, *_: object, **words: object) -> bytes:
        drawn.update(words, images=images)
        return b""

    monkeypatch.setattr("common.figures.case_picture.lesion_mosaic", kept)
    one = case()
    assert one.lesions is not None
    earlier, later = one.image[0], one.image[0] + 3
    two = dataclasses.replace(one, image=np.stack([earlier, -earlier, later, -later]))
    task = Task(modalities=("FLAIR", "T1w"), target="new-lesions")

    case_picture(two, one.lesions, title="lyon, sub-01", task=task)

    images = cast(dict[str, Any], drawn["images"])
    assert [*images] == ["FLAIR, earlier date", "FLAIR, later date"]
    np.testing.assert_array_equal(images["FLAIR, later date"][one.brain], later[one.brain])
    assert drawn["lesions"] == "new lesions"
