"""What `prepare` is given: grids of their own, skulls, masks on any modality's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import SiteDataError
from common.imaging.intake.case_checks import MAX_AXIS_COSINE
from common.imaging.intake.intake import Intake, examine, survey
from common.imaging.volume import Volume
from common.recipe.task import Task
from tests.volumes import (
    brain_mask,
    head_in_noise,
    image_path,
    mask_path,
    put,
    two_lesions,
    write_site,
)

WANTED = ("FLAIR", "T1w")
TASK = Task(modalities=WANTED)
SITES = Path(__file__).parents[4] / ".." / "shared" / "data" / "sites"


def aside(volume: Volume) -> Volume:
    affine = volume.affine.copy()
    affine[1, 3] += 7
    return Volume(volume.data, affine)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One case: a head in noise, the T1w 7 mm aside of the FLAIR, no mask."""
    write_site(tmp_path, subjects=["sub-01"], lesions=False)
    put(head_in_noise(seed=1), image_path(tmp_path, "sub-01", "FLAIR"))
    put(aside(head_in_noise(seed=2)), image_path(tmp_path, "sub-01", "T1w"))
    return tmp_path


def codes(intake: Intake, level: str) -> list[str]:
    return [finding.code for finding in intake.findings if finding.level == level]


def test_heads_on_grids_of_their_own_can_be_prepared_but_not_trained_on(root: Path) -> None:
    raw = survey(root, task=TASK, raw=True)
    assert [case.name for case in raw.usable] == ["sub-01"]
    assert codes(raw, "blocking") == []
    assert "image-grid" in codes(raw, "note")
    trained = survey(root, task=TASK)
    assert codes(trained, "blocking") == ["image-grid", "not-stripped"]
    for finding in trained.findings:
        if finding.level == "blocking":
            assert "lesionfed-site prepare" in finding.fix


def test_masks_may_lie_on_the_grid_of_any_modality(root: Path) -> None:
    put(aside(two_lesions()), mask_path(root, "sub-01", "lesion"))
    put(brain_mask(), mask_path(root, "sub-01", "brain"))
    intake = survey(root, task=TASK, raw=True)
    (case,) = intake.usable
    assert case.brain_mask is not None
    assert case.n_lesion_voxels == 8
    (finding,) = [finding for finding in intake.findings if finding.code == "mask-grid"]
    assert (finding.level, finding.text) == ("note", "lesion mask lies on the grid of the T1w")


def test_a_mask_on_the_grid_of_no_modality_blocks_with_all_grids(root: Path) -> None:
    put(aside(aside(two_lesions())), mask_path(root, "sub-01", "lesion"))
    intake = survey(root, task=TASK, raw=True)
    (finding,) = [finding for finding in intake.findings if finding.level == "blocking"]
    assert finding.code == "mask-grid"
    assert "corners within 0.001 mm" in finding.text
    assert finding.text.count("shape (12, 14, 8)") == 3


def test_a_missing_modality_blocks_preparing(root: Path) -> None:
    image_path(root, "sub-01", "T1w").unlink()
    with pytest.raises(SiteDataError, match="no T1w image"):
        examine(root, task=TASK, raw=True)


def test_an_empty_brain_mask_blocks_preparing(root: Path) -> None:
    empty = brain_mask()
    put(Volume(np.zeros_like(empty.data), empty.affine), mask_path(root, "sub-01", "brain"))
    assert codes(survey(root, task=TASK, raw=True), "blocking") == ["zero-brain"]


def test_what_a_thorough_survey_sees_leaves_no_further_case_out(root: Path) -> None:
    quick = survey(root, task=TASK, raw=True)
    thorough = survey(root, task=TASK, raw=True, thorough=True)
    assert quick.usable == thorough.usable
    assert quick.facts == ()
    assert [facts.name for facts in thorough.facts] == ["sub-01"]
    assert set(quick.findings) < set(thorough.findings)


def test_what_is_skew_here_is_skew_where_images_are_registered() -> None:
    from common.imaging import sitk_image

    assert sitk_image.MAX_AXIS_COSINE == MAX_AXIS_COSINE


@pytest.mark.slow
@pytest.mark.skipif(not SITES.is_dir(), reason="the shared images are not on this machine")
@pytest.mark.parametrize(
    ("site", "modalities", "n_usable", "expected"),
    [
        ("ljubljana-long", WANTED, 5, {"image-grid", "change-without-pair", "face-removed"}),
        ("tcga-fg", WANTED, 1, {"image-grid", "thick-slices", "face-shown", "free-text"}),
        ("ucl", ("FLAIR",), 1, {"thick-slices", "face-shown"}),
        ("isles22-philips3t", ("FLAIR",), 1, {"mask-elsewhere", "thick-slices", "slice-gap"}),
        ("south-carolina", WANTED, 1, {"8-bit", "free-text"}),
        ("austin", ("T1w",), 1, {"8-bit", "face-removed", "identity"}),
        ("harvard", ("FLAIR",), 0, {"missing-modality"}),
        ("ljubljana-cs", WANTED, 2, {"lesion-outside-brain"}),
        ("catania", WANTED, 1, set()),
    ],
)
def test_the_oddities_of_the_real_sites_are_found(
    site: str, modalities: tuple[str, ...], n_usable: int, expected: set[str]
) -> None:
    intake = survey(SITES / site, task=Task(modalities=modalities), raw=True, thorough=True)
    found = {finding.code for finding in intake.findings}
    assert len(intake.usable) == n_usable
    assert expected <= found
    assert "left-right" not in found
    odd = {f.subject for f in intake.findings if f.code == "change-without-pair"}
    if site == "ljubljana-long":
        assert odd == {"sub-LJLG04", "sub-LJLG09", "sub-LJLG20"}
