"""Two dates of a subject as one case, from the names of the files to what the network reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.phases.statistics import describe_site
from client.site.settings import read_site
from common.errors import SiteDataError
from common.imaging.dataset.prepared import (
    CaseImages,
    PreparedCase,
    baseline_intensity,
    prepare_case,
)
from common.imaging.dataset.prepared_site import prepared_site
from common.imaging.intake.bids import list_cases
from common.imaging.intake.intake import Intake, examine, survey
from common.imaging.intake.session_pairs import planned_cases
from common.imaging.standardization.template import LEARNED_FROM
from common.imaging.volume import Volume, read_mask, read_volume
from common.recipe.recipe import Recipe, load_recipe
from common.recipe.task import Task
from tests.toy_sites import longitudinal_site
from tests.volumes import (
    SHAPE,
    brain_mask,
    brain_voxels,
    image_path,
    mask_path,
    oblique_affine,
    put,
    stripped_brain,
    two_lesions,
    write_site,
)

NEW = Task(modalities=("FLAIR",), target="new-lesions")
SITES = Path(__file__).parents[4] / ".." / "shared" / "data" / "sites"


def recipe_of_pairs(*overrides: str) -> Recipe:
    return load_recipe(
        "default",
        overrides=[
            'task.modalities=["FLAIR"]',
            "task.target=new-lesions",
            "preprocessing.space=halfway",
            "standardization.method=z-score",
            *overrides,
        ],
    )


def site_of_dates(root: Path, *sessions: str, subject: str = "sub-01") -> Path:
    """FLAIRs of several dates on one grid, each but the first with a mask of new lesions."""
    for number, session in enumerate(sessions):
        put(stripped_brain(seed=number), image_path(root, subject, "FLAIR", session))
        if number:
            put(two_lesions(), mask_path(root, subject, "newlesion", session))
    return root


def blocking(intake: Intake) -> list[tuple[str, str]]:
    return [(f.case, f.code) for f in intake.findings if f.level == "blocking"]


def test_three_sessions_make_two_cases_named_by_the_later_dates(tmp_path: Path) -> None:
    root = site_of_dates(tmp_path, "ses-2", "ses-9", "ses-10")
    intake = survey(root, task=NEW)
    assert [case.name for case in intake.usable] == ["sub-01_ses-9", "sub-01_ses-10"]
    assert (intake.quarantined, intake.findings[0].code) == ((), "brain-mask-made")
    first, second = intake.usable
    assert dict(first.images) == {
        "FLAIR-1": image_path(root, "sub-01", "FLAIR", "ses-2"),
        "FLAIR-2": image_path(root, "sub-01", "FLAIR", "ses-9"),
    }
    assert second.images["FLAIR-1"] == image_path(root, "sub-01", "FLAIR", "ses-9")
    assert second.lesion_mask == mask_path(root, "sub-01", "newlesion", "ses-10")
    assert second.n_lesion_voxels == 8  # 6 + 2


def test_both_modalities_of_the_earlier_date_come_before_those_of_the_later(tmp_path: Path) -> None:
    root = site_of_dates(tmp_path, "ses-01", "ses-02")
    for session in ("ses-01", "ses-02"):
        put(stripped_brain(seed=7), image_path(root, "sub-01", "T1w", session))
    task = Task(modalities=("FLAIR", "T1w"), target="new-lesions")
    (case,) = examine(root, task=task).usable
    assert list(case.images) == ["FLAIR-1", "T1w-1", "FLAIR-2", "T1w-2"]
    assert [path.name for path in case.images.values()] == [
        "sub-01_ses-01_FLAIR.nii.gz",
        "sub-01_ses-01_T1w.nii.gz",
        "sub-01_ses-02_FLAIR.nii.gz",
        "sub-01_ses-02_T1w.nii.gz",
    ]


def test_a_mask_without_a_session_is_the_only_pairs_and_no_ones_among_three(tmp_path: Path) -> None:
    root = site_of_dates(tmp_path, "ses-01", "ses-02")
    mask_path(root, "sub-01", "newlesion", "ses-02").unlink()
    put(two_lesions(), mask_path(root, "sub-01", "newlesion"))
    put(brain_mask(), mask_path(root, "sub-01", "brain"))
    (case,) = survey(root, task=NEW).usable
    assert case.lesion_mask == mask_path(root, "sub-01", "newlesion")
    assert case.earlier is not None
    assert case.brain_mask == case.earlier.brain_mask == mask_path(root, "sub-01", "brain")
    put(stripped_brain(), image_path(root, "sub-01", "FLAIR", "ses-03"))
    more = survey(root, task=NEW)
    assert [case.lesion_mask is not None for case in more.usable] == [False, False]
    assert [f.code for f in more.findings if f.level == "warning"] == ["mask-without-images"] * 2


def test_a_full_lesion_mask_is_no_reference_for_new_lesions(tmp_path: Path) -> None:
    root = site_of_dates(tmp_path, "ses-01", "ses-02")
    mask_path(root, "sub-01", "newlesion", "ses-02").rename(
        mask_path(root, "sub-01", "lesion", "ses-02")
    )
    intake = survey(root, task=NEW)
    (case,) = intake.usable
    assert case.lesion_mask is None
    notes = [finding for finding in intake.findings if finding.code == "no-lesion-mask"]
    assert [note.case for note in notes] == ["sub-01_ses-02"]  # nothing is new at the first date
    assert "no new-lesion mask" in notes[0].text
    assert "sub-01_ses-02_desc-newlesion_mask.nii.gz" in notes[0].fix


def test_dates_on_two_grids_are_left_out_with_both_affines(tmp_path: Path) -> None:
    root = site_of_dates(tmp_path, "ses-01", "ses-02")
    moved = oblique_affine()
    moved[1, 3] += 2.5
    put(Volume(stripped_brain().data, moved), image_path(root, "sub-01", "FLAIR", "ses-01"))
    intake = survey(root, task=NEW)
    assert intake.usable == ()
    assert intake.quarantined == ("sub-01_ses-02",)
    (finding,) = [finding for finding in intake.findings if finding.level == "blocking"]
    assert (finding.case, finding.code) == ("sub-01_ses-02", "date-grid")
    assert "corners up to 2.5 mm apart" in finding.text
    assert "ses-01: shape (12, 14, 8)" in finding.text
    assert f"{moved[1, 3]:.5g}" in finding.text
    assert f"{oblique_affine()[1, 3]:.5g}" in finding.text
    assert "lesionfed-site prepare" in finding.fix
    assert "halfway" in finding.fix


def test_a_single_date_and_a_date_whose_other_one_is_bad_are_left_out(tmp_path: Path) -> None:
    root = site_of_dates(tmp_path, "ses-01", "ses-02", "ses-03", "ses-04")
    image_path(root, "sub-01", "FLAIR", "ses-02").write_bytes(b"")
    site_of_dates(root, "ses-01", subject="sub-02")
    intake = survey(root, task=NEW)
    assert [case.name for case in intake.usable] == ["sub-01_ses-04"]
    # the pair of sessions 1 and 3 is not made: no mask says what is new since session 1
    assert intake.quarantined == ("sub-01_ses-02", "sub-01_ses-03", "sub-02_ses-01")
    assert blocking(intake) == [
        ("sub-01_ses-02", "unreadable"),
        ("sub-01_ses-03", "other-date"),
        ("sub-02_ses-01", "single-date"),
    ]


def test_no_pair_at_all_is_an_error_that_asks_for_two_dates(tmp_path: Path) -> None:
    with pytest.raises(SiteDataError, match="usable case with FLAIR of two dates, found none"):
        examine(write_site(tmp_path, sessions=["ses-01"]), task=NEW)


def test_sessions_are_prepared_one_by_one_whatever_the_target(tmp_path: Path) -> None:
    root = site_of_dates(tmp_path, "ses-01", "ses-02")
    raw = survey(root, task=NEW, raw=True)
    assert [case.name for case in raw.usable] == ["sub-01_ses-01", "sub-01_ses-02"]
    assert [case.n_lesion_voxels for case in raw.usable] == [0, 8]


def test_the_planned_cases_of_two_dates_are_the_later_ones(tmp_path: Path) -> None:
    root = site_of_dates(tmp_path, "ses-01", "ses-02", "ses-03")
    site_of_dates(root, "ses-01", subject="sub-02")
    names = [case.name for case in planned_cases(list_cases(root, NEW).cases, NEW)]
    assert names == ["sub-01_ses-02", "sub-01_ses-03", "sub-02_ses-01"]
    plain = Task(modalities=("FLAIR",))
    assert len(planned_cases(list_cases(root, plain).cases, plain)) == 4


@pytest.mark.parametrize(
    ("there", "found"),
    [
        pytest.param((1, 2, 3), (1, 2), id="more than asked for"),
        pytest.param((2,), (2,), id="the second alone"),
        pytest.param((), (), id="none"),
    ],
)
def test_raters_are_taken_in_order_as_far_as_they_are_there(
    tmp_path: Path, there: tuple[int, ...], found: tuple[int, ...]
) -> None:
    root = write_site(tmp_path, subjects=["sub-01"])
    for number in there:
        put(two_lesions(), mask_path(root, "sub-01", f"lesionRater{number}"))
    intake = survey(root, task=Task(modalities=("FLAIR",), raters=2))
    (case,) = intake.usable
    assert list(case.rater_masks) == [f"lesionRater{number}" for number in found]
    told = [finding.text for finding in intake.findings if finding.code == "missing-rater"]
    missing = ", ".join(f"lesionRater{number}" for number in (1, 2) if number not in found)
    assert told == ([f"want the masks of 2 raters; missing: {missing}"] if missing else [])


def test_a_raters_mask_on_another_grid_is_blocking(tmp_path: Path) -> None:
    root = write_site(tmp_path, subjects=["sub-01"])
    affine = oblique_affine()
    affine[0, 3] += 1
    moved = Volume(two_lesions().data, affine)
    put(moved, mask_path(root, "sub-01", "lesionRater1"))
    intake = survey(root, task=Task(modalities=("FLAIR",), raters=1))
    assert blocking(intake) == [("sub-01", "mask-grid")]
    assert any("lesionRater1 mask lies on another grid" in f.text for f in intake.findings)


@pytest.fixture(scope="module")
def longitudinal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("lyon")
    return longitudinal_site(base, name="lyon", seed=4, n_raters=2, n_dates=3, n_subjects=1)


@pytest.fixture(scope="module")
def cases(longitudinal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[PreparedCase, ...]:
    return prepared_site(
        longitudinal.parent / "bids",
        recipe=recipe_of_pairs("task.raters=2"),
        template={},
        store=tmp_path_factory.mktemp("store"),
    ).cases


def test_a_prepared_pair_holds_both_dates_and_every_rater(
    cases: tuple[PreparedCase, ...], longitudinal: Path
) -> None:
    assert [case.name for case in cases] == ["sub-01_ses-02", "sub-01_ses-03"]
    first, second = cases
    assert first.image.shape[0] == 2
    np.testing.assert_array_equal(first.image[1], second.image[0])  # the middle date, twice
    masks = longitudinal.parent / "bids" / "derivatives" / "manual" / "sub-01" / "anat"
    assert first.raters is not None
    for number, rater in enumerate(first.raters, start=1):
        file = masks / f"sub-01_ses-02_desc-newlesionRater{number}_mask.nii.gz"
        np.testing.assert_array_equal(first.on_file_grid(rater).data, read_mask(file).data)


@pytest.mark.parametrize(
    ("n_outputs", "order"),
    [
        pytest.param(1, "c", id="the consensus alone"),
        pytest.param(3, "01c", id="a rater each"),
        pytest.param(5, "0101c", id="two raters share four outputs: r modulo 2"),
    ],
)
def test_outputs_share_the_raters_there_are_and_the_last_is_the_consensus(
    cases: tuple[PreparedCase, ...], n_outputs: int, order: str
) -> None:
    case = cases[0]
    assert case.lesions is not None
    assert case.raters is not None
    masks = {"0": case.raters[0], "1": case.raters[1], "c": case.lesions}
    references = case.references(n_outputs)
    assert all(reference.dtype == bool for reference in references)
    np.testing.assert_array_equal(references, np.stack([masks[one] for one in order]))


@pytest.mark.parametrize(
    ("there", "learned"),
    [
        pytest.param((1, 3), (1, 3, 3, 3), id="2 and 4 missing: slots 1 and 3, each 1 of [1, 3]"),
        pytest.param((2, 3, 4), (2, 2, 3, 4), id="1 missing: slot 0, 0 of [2, 3, 4]"),
        pytest.param((4,), (4, 4, 4, 4), id="the last alone"),
    ],
)
def test_a_missing_rater_moves_no_other_raters_output(
    there: tuple[int, ...], learned: tuple[int, ...]
) -> None:
    """Rater n marks the one voxel (n, 3, 4), so that each mask says whose it is."""
    grid = two_lesions()
    masks = {n: np.zeros(grid.data.shape, bool) for n in there}
    for n, mask in masks.items():
        mask[n, 3, 4] = True
    case, _ = prepare_case(
        CaseImages(
            images={"FLAIR": stripped_brain(seed=1)},
            brain=Volume(np.ones(grid.data.shape, bool), grid.affine),
            lesions=Volume(grid.data > 0, grid.affine),
            raters={f"lesionRater{n}": Volume(mask, grid.affine) for n, mask in masks.items()},
        ),
        subject="sub-01",
        session=None,
        control=False,
        task=Task(modalities=("FLAIR",), raters=4),
        settings=recipe_of_pairs().standardization,
        template={},
    )
    *raters, consensus = case.references(5)
    marked = [int(np.argwhere(case.on_file_grid(mask).data)[0, 0]) for mask in raters]
    assert tuple(marked) == learned
    np.testing.assert_array_equal(case.on_file_grid(consensus).data, grid.data > 0)


def test_references_stay_on_disk_until_a_patch_is_cut(cases: tuple[PreparedCase, ...]) -> None:
    assert cases[0].lesions is not None
    assert np.shares_memory(cases[0].references(3)[-1], cases[0].lesions)
    assert not cases[0].lesions.flags.writeable  # mapped: a copy of its own could be changed
    assert cases[0].raters is not None
    assert np.shares_memory(cases[0].references(3)[0], cases[0].raters)


def test_the_baseline_sees_a_new_lesion_brighten_and_not_an_old_one(
    cases: tuple[PreparedCase, ...],
) -> None:
    """The old lesion is as bright at both dates: only noise is left of it."""
    case = cases[1]
    assert case.lesions is not None
    change = baseline_intensity(case, NEW)
    np.testing.assert_array_equal(change, case.image[1] - case.image[0])
    old = (case.image[0] > case.image[0][case.lesions].max()) & case.brain
    assert change[case.lesions].mean() > 2
    assert abs(change[old].mean()) < 0.5


def test_the_baseline_of_one_date_is_the_first_modality(cases: tuple[PreparedCase, ...]) -> None:
    plain = baseline_intensity(cases[0], Task(modalities=("FLAIR", "T1w")))
    np.testing.assert_array_equal(plain, cases[0].image[0])


def test_the_brain_of_a_pair_is_the_union_of_both_dates(tmp_path: Path) -> None:
    """The first date lacks the lowest slices with brain, the second the highest."""
    whole, affine = brain_voxels(), oblique_affine()
    flair = stripped_brain()
    for session, gone in (("ses-01", slice(0, 3)), ("ses-02", slice(5, 8))):
        cut = flair.data.copy()
        cut[:, :, gone] = 0
        put(Volume(cut, affine), image_path(tmp_path, "sub-01", "FLAIR", session))
        mask = whole.copy()
        mask[:, :, gone] = False
        put(Volume(mask, affine), mask_path(tmp_path, "sub-01", "brain", session))
    put(
        Volume(np.zeros(SHAPE, np.uint8), affine),
        mask_path(tmp_path, "sub-01", "newlesion", "ses-02"),
    )
    site = prepared_site(
        tmp_path, recipe=recipe_of_pairs(), template={}, store=tmp_path.parent / "union-store"
    )
    (case,) = site.cases
    np.testing.assert_array_equal(case.on_file_grid(case.brain).data, whole)
    assert case.lesions is not None
    assert not case.trainable  # lesion-free, and a case all the same
    assert [reference.sum() for reference in case.references(3)] == [0, 0, 0]
    assert {reference.shape for reference in case.references(3)} == {case.brain.shape}


def test_every_date_counts_once_towards_the_template(longitudinal: Path) -> None:
    """One subject, dates 1, 2 and 3 in the cases (1, 2) and (2, 3): the mean over three images."""
    recipe = recipe_of_pairs("standardization.method=nyul")
    described = describe_site(recipe, read_site(longitudinal))
    assert (described.n_cases, described.n_template_subjects, described.n_trainable) == (2, 1, 2)
    data = longitudinal.parent / "bids" / "sub-01"
    images = [
        read_volume(data / f"ses-0{n}" / "anat" / f"sub-01_ses-0{n}_FLAIR.nii.gz").data
        for n in (1, 2, 3)
    ]
    expected = np.mean([LEARNED_FROM["nyul"](image, image != 0) for image in images], axis=0)
    assert set(described.landmark_sums) == {"FLAIR"}
    np.testing.assert_allclose(described.landmark_sums["FLAIR"], expected, rtol=1e-9)


def test_both_dates_are_mapped_with_their_modalitys_landmarks(
    longitudinal: Path, tmp_path: Path
) -> None:
    template = {"FLAIR": tuple(float(n) for n in np.linspace(0, 100, 13))}
    site = prepared_site(
        longitudinal.parent / "bids",
        recipe=recipe_of_pairs("standardization.method=nyul"),
        template=template,
        store=tmp_path,
    )
    assert site.cases[0].image.shape[0] == 2
    assert site.cases[0].raters is None
    assert [finding.code for finding in site.findings if finding.level == "warning"] == []


@pytest.mark.skipif(not SITES.is_dir(), reason="the shared images are not on this machine")
def test_real_raw_dates_must_be_prepared_first() -> None:
    intake = survey(SITES / "ljubljana-long", task=NEW)
    codes = {finding.code for finding in intake.findings if finding.level == "blocking"}
    assert intake.usable == ()
    assert codes <= {"single-date", "not-stripped", "date-grid", "missing-modality", "other-date"}
    assert set(intake.quarantined) >= {"sub-LJLG01_ses-02", "sub-LJLG19_ses-02"}
