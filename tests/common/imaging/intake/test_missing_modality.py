"""Cases that lack an image which the recipe lets them lack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.prepare.site_work import plan_site
from common.imaging.dataset.prepared import prepare_case, read_case
from common.imaging.intake.intake import examine, survey
from common.imaging.volume import Volume, read_volume, write_volume
from common.recipe.recipe import load_recipe
from common.recipe.standardization import Standardization
from common.recipe.task import Task
from tests.toy_sites import longitudinal_site, scanner_affine, write_site

OPTIONAL = Task(modalities=("FLAIR", "T1w"), optional_modalities=("T1w",))


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    """Two subjects on a grid without shear; the first has FLAIR alone."""
    root = write_site(tmp_path, name="lyon", seed=0).parent / "bids"
    for file in root.rglob("*.nii.gz"):
        write_volume(Volume(read_volume(file).data, scanner_affine(1)), file)
    (root / "sub-01" / "anat" / "sub-01_T1w.nii.gz").unlink()
    return root


@pytest.mark.parametrize("raw", [False, True])
def test_a_case_without_an_optional_image_is_usable_and_a_note_says_so(
    bids: Path, raw: bool
) -> None:
    intake = examine(bids, task=OPTIONAL, raw=raw)
    assert [(case.name, case.missing) for case in intake.usable] == [
        ("sub-01", ("T1w",)),
        ("sub-02", ()),
    ]
    [note] = [f for f in intake.findings if f.code == "missing-optional-modality"]
    assert (note.level, note.case) == ("note", "sub-01")
    assert note.text == "no T1w image; found sub-01_FLAIR.nii.gz; the case takes part without it"


def test_without_the_key_the_same_case_is_left_out(bids: Path) -> None:
    intake = survey(bids, task=Task(modalities=("FLAIR", "T1w")))
    assert intake.quarantined == ("sub-01",)


def test_a_case_without_the_first_image_is_left_out_all_the_same(bids: Path) -> None:
    (bids / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz").unlink()
    assert survey(bids, task=OPTIONAL).quarantined == ("sub-02",)


def test_an_optional_image_that_cannot_be_read_still_blocks_its_case(bids: Path) -> None:
    (bids / "sub-02" / "anat" / "sub-02_T1w.nii.gz").write_bytes(b"not an image")
    assert survey(bids, task=OPTIONAL).quarantined == ("sub-02",)


def test_a_table_of_files_may_leave_the_optional_image_out(bids: Path, tmp_path: Path) -> None:
    table = tmp_path / "files.tsv"
    table.write_text(
        "subject\tsession\tmodality\tpath\n01\t\tFLAIR\tsub-01/anat/sub-01_FLAIR.nii.gz\n",
        encoding="utf-8",
    )
    intake = survey(bids, task=OPTIONAL, mapping=table, raw=True)
    assert [case.missing for case in intake.usable] == [("T1w",)]


def test_preparing_takes_the_images_that_there_are(bids: Path, tmp_path: Path) -> None:
    recipe = load_recipe("default", overrides=['task.optional_modalities=["T1w"]'])
    plan = plan_site(bids, recipe=recipe, out=tmp_path / "prepared")
    assert [tuple(job.job.cases[0].images) for job in plan.jobs] == [("FLAIR",), ("FLAIR", "T1w")]


def test_of_two_dates_one_may_lack_the_image(tmp_path: Path) -> None:
    """T1w at the later date alone: the channels stay in their places."""
    root = longitudinal_site(tmp_path, name="lyon", seed=1, n_subjects=1).parent / "bids"
    later = root / "sub-01" / "ses-02" / "anat" / "sub-01_ses-02_FLAIR.nii.gz"
    flair = read_volume(later)
    t1w = Volume(np.where(flair.data > 0, 300 - flair.data, 0).astype(np.float32), flair.affine)
    write_volume(t1w, later.with_name("sub-01_ses-02_T1w.nii.gz"))
    task = OPTIONAL.model_copy(update={"target": "new-lesions"})
    [usable] = examine(root, task=task).usable
    assert usable.missing == ("T1w-1",)
    assert list(usable.images) == ["FLAIR-1", "FLAIR-2", "T1w-2"]
    case, _ = prepare_case(
        read_case(usable),
        subject=usable.subject,
        session=usable.session,
        control=False,
        task=task,
        settings=Standardization(method="z-score"),
        template={},
    )
    assert case.missing == ("T1w-1",)
    assert [bool(channel.any()) for channel in case.image] == [True, False, True, True]
    inside = case.brain
    assert np.corrcoef(case.image[2][inside], case.image[3][inside])[0, 1] < -0.9
