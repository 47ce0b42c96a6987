from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import ConfigError, SiteDataError
from common.imaging.intake.intake import survey
from common.imaging.volume import Volume, read_mask, read_volume, write_volume
from common.phantom.anatomy import TISSUES, Anatomy
from common.phantom.sources import MNI_1MM, mask_digests
from common.phantom.transplant_folder import TransplantCase
from common.phantom.transplant_site import TransplantPlan, make_transplant_site, scanner_voxel_mm
from common.recipe.task import Task

DATA = Path(__file__).parents[4] / "shared" / "data"

SIGNALS = {
    "FLAIR": {"cortex": 122, "deep_grey": 112, "white": 100, "ventricle": 25, "csf": 30},
    "T1w": {"cortex": 68, "deep_grey": 80, "white": 100, "ventricle": 20, "csf": 25},
}


@pytest.fixture(scope="module")
def hospital(average: Anatomy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A control, a patient with a lesion and one without a mask, as `prepare` leaves them."""
    root = tmp_path_factory.mktemp("hospital")
    inside = average.brain > 0.5
    for number, subject in enumerate(("sub-C1", "sub-M1", "sub-M2")):
        rng = np.random.default_rng(number)
        folder = root / subject / "anat"
        folder.mkdir(parents=True)
        for name, signal in SIGNALS.items():
            levels = np.array([signal[tissue] for tissue in TISSUES])
            data = np.tensordot(levels, average.fractions, 1)
            data = np.maximum(data + rng.normal(0, 3, inside.shape), 1)
            image = Volume(np.where(inside, data, 0).astype(np.float32), average.grid.affine)
            write_volume(image, folder / f"{subject}_{name}.nii.gz")
    lesion = np.zeros(inside.shape, np.bool_)
    lesion[tuple(n // 2 for n in inside.shape)] = True
    path = root / "sub-M1" / "anat" / "sub-M1_desc-lesion_mask.nii.gz"
    write_volume(Volume(lesion, average.grid.affine), path)
    (root / "participants.tsv").write_text(
        "participant_id\tdiagnosis\nsub-C1\thealthy\nsub-M1\tMS\nsub-M2\tMS\n", "utf-8"
    )
    return root


def write_mask(path: Path, *, x: int) -> Path:
    """2.2 mL of lesion on the MNI grid about x mm from the midline, in white matter."""
    mask = np.zeros(MNI_1MM.shape, np.bool_)
    i, j, k = (round(mm - first) for mm, first in zip((x, -20, 30), MNI_1MM.first_mm, strict=True))
    mask[i - 6 : i + 7, j - 6 : j + 7, k - 6 : k + 7] = True
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(mask, MNI_1MM.affine), path)
    return path


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients' lesions, at the right, at the left, and at the right once more."""
    folder = tmp_path_factory.mktemp("masks")
    for name, x in {"a": 26, "b": -26, "judged": 28}.items():
        write_mask(folder / f"{name}.nii.gz", x=x)
    return folder


def plan(**changes: Any) -> TransplantPlan:
    settings: dict[str, Any] = {
        "per_subject": 2,
        "side": "both",
        "lesion_masks": None,
        "without_masks": (),
        "seed": 0,
    }
    return TransplantPlan(**(settings | changes))


def made(
    hospital: Path, out: Path, chosen: TransplantPlan, *modalities: str
) -> tuple[list[TransplantCase], dict[str, Any]]:
    cases = make_transplant_site(hospital, out, chosen, modalities=modalities or ("FLAIR", "T1w"))
    return cases, json.loads((out / "transplant.json").read_text("utf-8"))


def test_a_control_gives_one_subject_with_and_without_lesions_that_can_train(
    hospital: Path, tmp_path: Path
) -> None:
    out = tmp_path / "site"
    cases, record = made(hospital, out, plan())
    assert [(c.subject, c.session) for c in cases] == [
        ("sub-C1", "ses-01"),
        ("sub-C1", "ses-02"),
        ("sub-C1", "ses-03"),
    ]
    intake = survey(out, task=Task(modalities=("FLAIR", "T1w")), thorough=True)
    assert not intake.quarantined
    assert [f.code for f in intake.findings if f.code == "duplicate"] == []
    healthy, *ill = intake.usable
    assert healthy.n_lesion_voxels == 0
    assert all(case.n_lesion_voxels > 0 for case in ill)
    before = read_volume(hospital / "sub-C1" / "anat" / "sub-C1_FLAIR.nii.gz").data
    np.testing.assert_array_equal(read_volume(healthy.images["FLAIR"]).data, before)
    assert record["cases"]["sub-C1_ses-02"]["lesions"] == "drawn"


def test_the_masks_of_a_judged_patient_are_not_used_under_any_name(
    hospital: Path, masks: Path, tmp_path: Path
) -> None:
    judged = write_mask(tmp_path / "judged" / "another-name.nii.gz", x=28)
    chosen = plan(lesion_masks=masks, without_masks=[str(judged.parent)], per_subject=4)
    cases, record = made(hospital, tmp_path / "site", chosen, "FLAIR")
    forbidden = {digest.hex() for digest in mask_digests([judged])}
    with_lesions = [case for case in record["cases"].values() if case["lesions"] != "none"]
    assert [case["lesions"] for case in with_lesions].count("judged.nii.gz") == 0
    assert {case["lesions"] for case in with_lesions} == {"a.nii.gz", "b.nii.gz"}
    assert len(cases) == 5
    for case in with_lesions:
        assert forbidden.isdisjoint(case["voxels"])
        content = (masks / case["lesions"]).read_bytes()
        assert case["sha256"] == hashlib.sha256(content).hexdigest()
    # two masks, four copies: the second time round they are mirrored
    assert [case["mirrored"] for case in with_lesions] == [False, False, True, True]


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not on this machine")
@pytest.mark.parametrize("patient", ["07", "19"])
def test_the_references_of_ljubljana_are_known_among_the_masks_of_their_study(patient: str) -> None:
    judged = mask_digests([DATA / "sites" / "ljubljana-cs" / "derivatives"])
    mask = DATA / "lesion-masks" / "mni1mm" / f"patient{patient}_lesion.nii.gz"
    other = DATA / "lesion-masks" / "mni1mm" / "patient01_lesion.nii.gz"
    assert not judged.isdisjoint(mask_digests([mask]))
    assert judged.isdisjoint(mask_digests([other]))


def test_where_every_mask_is_a_judged_patient_s_nothing_is_written(
    hospital: Path, masks: Path, tmp_path: Path
) -> None:
    chosen = plan(lesion_masks=masks, without_masks=[str(masks)])
    with pytest.raises(SiteDataError, match="none of its 3 masks on the MNI152 grid is left"):
        made(hospital, tmp_path / "site", chosen)
    assert not (tmp_path / "site").exists()


def test_a_half_keeps_neither_image_nor_brain_nor_lesion_of_the_other(
    hospital: Path, masks: Path, tmp_path: Path
) -> None:
    out = tmp_path / "site"
    cases, record = made(hospital, out, plan(side="right", lesion_masks=masks, per_subject=3))
    assert {case.subject for case in cases} == {"sub-C1", "sub-M2"}  # sub-M1 has a lesion
    assert record["side"] == "right"
    for case in cases:
        name = f"{case.subject}_{case.session}"
        brain = read_mask(next(out.rglob(f"{name}_desc-brain_mask.nii.gz")))
        x = brain.affine[0, 3] + brain.affine[0, 0] * np.flatnonzero(brain.data.any((1, 2)))
        assert -3.0 < x.min() < 6.0
        for path in out.rglob(f"{name}_*.nii.gz"):
            assert not read_volume(path).data[~brain.data].any()
    # the mask at the left alone found no room: left out, mirrored only later
    left_alone = [c for c in record["cases"].values() if c["lesions"] == "b.nii.gz"]
    assert all(case["mirrored"] for case in left_alone)


def test_the_same_seed_makes_the_same_files(hospital: Path, tmp_path: Path) -> None:
    def digests(name: str, seed: int) -> dict[str, str]:
        made(hospital, tmp_path / name, plan(seed=seed, per_subject=1), "FLAIR")
        return {
            path.relative_to(tmp_path / name).as_posix(): hashlib.sha256(
                path.read_bytes()
            ).hexdigest()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }

    first = digests("one", 5)
    assert digests("two", 5) == first
    assert digests("other", 6) != first


def test_a_folder_without_controls_is_refused_with_what_to_do(
    hospital: Path, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    for path in sorted(hospital.rglob("sub-M2*.nii.gz")):
        target = tmp_path / "site" / path.relative_to(hospital)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    with pytest.raises(SiteDataError, match="Write there who is healthy, or give --side"):
        made(tmp_path / "site", tmp_path / "out", plan())


def test_a_case_that_is_oblique_is_named(hospital: Path, tmp_path: Path) -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[0.98, -0.199], [0.199, 0.98]]
    folder = tmp_path / "site" / "sub-C9" / "anat"
    folder.mkdir(parents=True)
    flair = read_volume(hospital / "sub-C1" / "anat" / "sub-C1_FLAIR.nii.gz")
    write_volume(Volume(flair.data, turn @ flair.affine), folder / "sub-C9_FLAIR.nii.gz")
    (tmp_path / "site" / "participants.tsv").write_text(
        "participant_id\tdiagnosis\nsub-C9\thealthy\n", "utf-8"
    )
    with pytest.raises(SiteDataError, match=r"^sub-C9: want images whose axes run along"):
        made(tmp_path / "site", tmp_path / "out", plan(), "FLAIR")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"per_subject": 0}, "--per-subject: want 1 to 98, got 0"),
        ({"per_subject": 99}, "--per-subject: want 1 to 98, got 99"),
        ({"without_masks": ["07"]}, "there is no --lesion-masks: lesions are drawn"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plan(**changes)


def test_modalities_that_lesions_have_no_contrast_for_are_refused(
    hospital: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="want FLAIR or FLAIR,T1w, got T2w"):
        made(hospital, tmp_path / "site", plan(), "T2w")


def sidecar(folder: Path, record: object) -> Path:
    (folder / "sub-1_FLAIR.json").write_text(json.dumps(record), "utf-8")
    return folder / "sub-1_FLAIR.nii.gz"


def test_the_scanner_s_slices_lie_along_the_axis_they_are_turned_to(tmp_path: Path) -> None:
    # 0.5 x 0.5 x 5 mm, the slices along the scanner's y, which the move turns to the common z
    own = np.diag([0.5, 0.5, 5.0, 1.0])[:, [0, 2, 1, 3]]
    to_common = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    record = {"ScannerAffine": own.tolist(), "ScannerToCommon": to_common.tolist()}
    image = sidecar(tmp_path, {"LesionFed": record})
    # own's column 1 is (0, 0, 5): the scanner's z, which the move sends to -y
    assert scanner_voxel_mm(image, np.ones(3)) == (1.0, 5.0, 1.0)


def test_without_a_sidecar_s_word_voxels_are_as_large_as_the_image_s(tmp_path: Path) -> None:
    assert scanner_voxel_mm(tmp_path / "none_FLAIR.nii.gz", np.full(3, 1.5)) == (1.5, 1.5, 1.5)
    image = sidecar(tmp_path, {"SkullStripped": True})
    assert scanner_voxel_mm(image, np.ones(3)) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"LesionFed": {"ScannerAffine": [[1.0]]}}, id="no move"),
        pytest.param(
            {"LesionFed": {"ScannerAffine": "x", "ScannerToCommon": "y"}}, id="no numbers"
        ),
        pytest.param(
            {
                "LesionFed": {
                    "ScannerAffine": [[float("nan")] * 4] * 4,
                    "ScannerToCommon": np.eye(4).tolist(),
                }
            },
            id="not finite",
        ),
        pytest.param([], id="a list"),
    ],
)
def test_a_damaged_sidecar_is_refused_by_name(tmp_path: Path, record: object) -> None:
    with pytest.raises(SiteDataError, match=r"sub-1_FLAIR\.json: want what .* Prepare the case"):
        scanner_voxel_mm(sidecar(tmp_path, record), np.ones(3))
