"""Two dates from two scanner grids to one, with masks that were drawn on either."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.prepare import prepare_subject as prepare_subject_module
from client.prepare.derivatives import is_written, start_folder
from client.prepare.mask_sessions import masks_with_their_date, masks_with_their_image
from client.prepare.prepare_subject import prepare_subject
from client.prepare.site_work import plan_site
from common.errors import SiteDataError
from common.imaging.dataset.drawn_reference import read_drawn_reference
from common.imaging.grid import nearest_onto
from common.imaging.intake.intake import examine, survey
from common.imaging.preprocessing.chain import PreparedVolumes
from common.imaging.preprocessing.working_case import WorkingCase, WorkingImage
from common.imaging.volume import Volume, read_mask, read_volume
from common.recipe.recipe import Recipe, load_recipe
from tests.toy_sites import moved_dates, scanner_affine
from tests.volumes import oblique_affine, stripped_brain, two_lesions


def recipe_of_pairs(*overrides: str) -> Recipe:
    return load_recipe(
        "default",
        overrides=[
            'task.modalities=["FLAIR"]',
            "task.target=new-lesions",
            "preprocessing.space=halfway",
            'preprocessing.steps=["brain", "resample", "crop"]',
            "preprocessing.spacing_mm=1.2",
            *overrides,
        ],
    )


def here(volume: Volume, shift_mm: float) -> WorkingImage:
    affine = oblique_affine()
    affine[0, 3] += shift_mm
    return WorkingImage(volume=Volume(volume.data, affine), to_common=np.eye(4))


def date(
    shift_mm: float, *, lesions: WorkingImage | None = None, **raters: WorkingImage
) -> WorkingCase:
    images = {"FLAIR": here(stripped_brain(), shift_mm)}
    return WorkingCase(images=images, reference="FLAIR", lesions=lesions, raters=raters)


def prepared(case: WorkingCase) -> PreparedVolumes:
    """As if every move was nothing."""
    return PreparedVolumes(
        images={},
        brain=stripped_brain(),
        lesions=None if case.lesions is None else case.lesions.volume,
        moves={},
        notes=(),
        lesions_move=None if case.lesions is None else case.lesions.to_common,
        raters={rater: mask.volume for rater, mask in case.raters.items()},
    )


def test_each_mask_goes_along_with_the_image_it_was_drawn_on_and_comes_back() -> None:
    """Reference and rater 2 on the earlier date's image, rater 1 on the later one's own."""
    on_first, on_second = here(two_lesions(), 0), here(two_lesions(), 5)
    dates = [
        date(0),
        date(5, lesions=on_first, newlesionRater1=on_second, newlesionRater2=on_first),
    ]
    first, second = masks_with_their_image(dates)
    assert first.lesions is on_first
    assert set(first.raters) == {"newlesionRater2"}
    assert second.lesions is None
    assert set(second.raters) == {"newlesionRater1"}
    again = masks_with_their_date([prepared(first), prepared(second)], dates)
    assert again[0].lesions is None
    assert again[0].raters == {}
    assert again[1].lesions is on_first.volume
    assert again[0].lesions_move is None
    assert again[1].lesions_move is on_first.to_common
    assert list(again[1].raters) == ["newlesionRater1", "newlesionRater2"]


def test_masks_stay_where_both_dates_have_one_grid() -> None:
    mask = here(two_lesions(), 0)
    dates = [date(0), date(0, lesions=mask)]
    assert masks_with_their_image(dates)[1].lesions is mask


def test_masks_of_both_dates_on_one_image_are_refused() -> None:
    mask = here(two_lesions(), 0)
    dates = [date(0, lesions=mask), date(5, lesions=mask)]
    with pytest.raises(SiteDataError, match=r"both dates have a mask .* \(reference\)"):
        masks_with_their_image(dates)
    own = replace(dates[1], lesions=here(two_lesions(), 5))
    assert masks_with_their_image([dates[0], own])[0].lesions is mask


def test_two_dates_are_prepared_to_one_pair_with_its_raters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patient lies 4 mm and 5 degrees elsewhere at the later date.

    The reference was drawn on the later FLAIR; the rater drew the same lesion on the earlier one,
    so that both lie on each other once they are halfway: but for a layer of voxels at the edge.
    """
    monkeypatch.setattr(prepare_subject_module, "write_qc_pages", lambda job, prepared: None)
    root = moved_dates(tmp_path, seed=2)
    recipe = recipe_of_pairs("task.raters=1")
    assert survey(root, task=recipe.task).usable == ()
    out = tmp_path / "out"
    plan = plan_site(root, recipe=recipe, out=out)
    notes = [f.text for f in plan.intake.findings if f.code == "mask-grid"]
    assert notes == ["newlesionRater1 mask lies on the grid of the FLAIR of ses-01"]
    start_folder(out, source=root)
    (planned,) = plan.jobs
    prepare_subject(planned.job)
    assert all(is_written(planned.job, case) for case in planned.job.cases)
    anat = {n: out / "sub-01" / f"ses-0{n}" / "anat" for n in (1, 2)}
    assert not list(anat[1].glob("*newlesion*"))
    stem = anat[2] / "sub-01_ses-02"
    reference = read_mask(stem.with_name(f"{stem.name}_desc-newlesion_mask.nii.gz")).data
    rater = read_mask(stem.with_name(f"{stem.name}_desc-newlesionRater1_mask.nii.gz")).data
    assert 2 * np.count_nonzero(reference & rater) / (reference.sum() + rater.sum()) > 0.75
    (pair,) = examine(out, task=recipe.task).usable
    assert pair.name == "sub-01_ses-02"
    assert list(pair.rater_masks) == ["newlesionRater1"]
    drawn = stem.with_name(f"{stem.name}_space-scanner_desc-newlesion_mask.nii.gz")
    made = stem.with_name(f"{stem.name}_desc-newlesion_mask.nii.gz")
    read = read_drawn_reference(drawn, made)
    np.testing.assert_allclose(read.lesions.affine, scanner_affine(2), atol=1e-4)
    placed = Volume(read.lesions.data, read.to_common @ read.lesions.affine)
    assert np.count_nonzero(nearest_onto(read_mask(made), placed).data != reference) <= 2
    change = read_volume(pair.images["FLAIR-2"]).data - read_volume(pair.images["FLAIR-1"]).data
    brain = read_mask(stem.with_name(f"{stem.name}_desc-brain_mask.nii.gz")).data
    assert change[reference].mean() > 3 * change[brain].std()
