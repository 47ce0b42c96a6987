from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations

from common.errors import ConfigError, RunFolderError
from common.imaging.volume import Volume, read_volume
from common.recipe.recipe import load_recipe
from server.run.data_record import (
    DataPlace,
    DataRecord,
    PartOfRun,
    read_record,
    write_record,
)
from server.run.leakage import examined_again, examined_places, require_apart
from tests.volumes import SHAPE, image_path, mask_path, oblique_affine, put, stripped_brain

RECIPE = load_recipe("default")
WITHOUT_SHARES = load_recipe(
    "default", overrides=["federation.site_validation_share=0", "inference.threshold_from=fixed"]
)


def lesion(seed: int) -> Volume:
    """Nine voxels at a place of their own."""
    data = np.zeros(SHAPE, np.uint8)
    i, j, k = np.random.default_rng(seed).integers((2, 2, 2), (8, 10, 6))
    data[i : i + 3, j : j + 3, k] = 1
    return Volume(data, oblique_affine())


def site(root: Path, subjects: dict[str, int]) -> Path:
    """A BIDS folder; subject -> the seed of its images and its lesion."""
    for subject, seed in subjects.items():
        for channel, modality in enumerate(("FLAIR", "T1w")):
            image = stripped_brain(seed=10 * seed + channel)
            put(image, image_path(root, subject, modality))
        put(lesion(seed), mask_path(root, subject, "lesion"))
    return root


@pytest.fixture
def lyon(tmp_path: Path) -> Path:
    return site(tmp_path / "data" / "lyon", {"sub-L1": 1, "sub-L2": 2})


@pytest.fixture
def porto(tmp_path: Path) -> Path:
    return site(tmp_path / "data" / "porto", {"sub-P1": 3, "sub-P2": 4})


def examined(*places: DataPlace, local: bool = False) -> DataRecord:
    return examined_places(places, recipe=RECIPE, labels_are_local=local)


def train(data: Path, name: str = "lyon") -> DataPlace:
    return DataPlace(name=name, part="train", data=data)


def unseen(data: Path, name: str = "porto") -> DataPlace:
    return DataPlace(name=name, part="unseen", data=data)


def test_sites_that_share_nothing_are_recorded_with_subjects_and_every_image(
    lyon: Path, porto: Path
) -> None:
    record = examined(train(lyon), unseen(porto))
    assert [place.subjects for place in record.places] == [
        ("sub-L1", "sub-L2"),
        ("sub-P1", "sub-P2"),
    ]
    shown = [image.shown for image in record.places[0].images]
    assert shown == [f"sub-L{n} {what}" for n in (1, 2) for what in ("FLAIR", "T1w", "lesion mask")]


def linked(lyon: Path) -> Path:
    (lyon.parent / "link").symlink_to(lyon)
    return lyon.parent / "link"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda lyon: lyon, id="the same"),
        pytest.param(lambda lyon: lyon.parent / "porto" / ".." / "lyon", id="by .."),
        pytest.param(linked, id="by a link"),
        pytest.param(lambda lyon: lyon / "sub-L1", id="inside it"),
        pytest.param(lambda lyon: lyon.parent, id="above it"),
        pytest.param(lambda lyon: linked(lyon) / "derivatives", id="inside it, by a link"),
    ],
)
@pytest.mark.parametrize("part", ["train", "statistics", "validation", "unseen"])
@pytest.mark.parametrize("local", [False, True])
def test_one_folder_by_any_path_is_in_one_part_only(
    lyon: Path, porto: Path, other: Callable[[Path], Path], part: PartOfRun, local: bool
) -> None:
    second = DataPlace(name="other", part=part, data=other(lyon))
    with pytest.raises(ConfigError, match=r"training site lyon \(.*other \(.*must not be judged"):
        examined(train(lyon), second, local=local)


def test_a_folder_whose_name_begins_with_anothers_is_another(lyon: Path, porto: Path) -> None:
    other = site(lyon.parent / "lyon-2", {"sub-X": 9})
    examined(train(lyon), unseen(other))


@pytest.mark.parametrize("part", ["train", "validation", "unseen"])
def test_one_label_at_two_places_is_refused_unless_labels_are_local(
    lyon: Path, tmp_path: Path, part: PartOfRun
) -> None:
    other = site(tmp_path / "other", {"sub-L2": 7, "sub-X": 8})
    second = DataPlace(name="other", part=part, data=other)
    words = r"lyon \(.*lyon\) and .*other \(.*other\) both have sub-L2\. .*--labels-are-local"
    with pytest.raises(ConfigError, match=words):
        examined(train(lyon), second)
    assert examined(train(lyon), second, local=True).labels_are_local


def as_another_file(image: Path, target: Path, change: str) -> None:
    """The voxels of `image` once more, with another place, order, type or compression."""
    volume = read_volume(image)
    data, affine = volume.data, volume.affine
    if change == "order":
        turn = orientations.axcodes2ornt(("P", "I", "R"))  # type: ignore[no-untyped-call] # nibabel
        turn = orientations.ornt_transform(orientations.io_orientation(affine), turn)  # type: ignore[no-untyped-call] # nibabel
        affine = affine @ orientations.inv_ornt_aff(turn, data.shape)  # type: ignore[no-untyped-call] # nibabel
        data = orientations.apply_orientation(data, turn)  # type: ignore[no-untyped-call] # nibabel
    if change == "header":
        affine = np.diag([-1.0, 2.0, 1.0, 1.0])
    if change == "double":
        data = data.astype(np.float64)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = nib.Nifti1Image(data, affine)  # type: ignore[no-untyped-call] # nibabel has no types
    nib.save(made, target)
    if change == "compression":
        content = gzip.decompress(target.read_bytes())
        target.unlink()
        target.with_suffix("").write_bytes(content)


@pytest.mark.parametrize("change", ["none", "order", "header", "double", "compression"])
@pytest.mark.parametrize("local", [False, True])
def test_one_image_under_two_names_is_refused_however_it_is_stored(
    lyon: Path, porto: Path, change: str, local: bool
) -> None:
    target = image_path(porto, "sub-P9", "FLAIR")
    as_another_file(image_path(lyon, "sub-L2", "T1w"), target, change)
    words = r"sub-L2 T1w holds the same voxels as sub-P9 FLAIR of held-out site porto \("
    with pytest.raises(ConfigError, match=words):
        examined(train(lyon), unseen(porto), local=local)


def test_a_whole_number_image_is_the_same_as_integers_with_a_scale(lyon: Path, porto: Path) -> None:
    whole = np.round(stripped_brain(seed=77).data)
    put(Volume(whole, oblique_affine()), image_path(lyon, "sub-L1", "FLAIR"))
    image = nib.Nifti1Image(whole.astype(np.int16), oblique_affine())  # type: ignore[no-untyped-call] # nibabel
    image.header.set_slope_inter(1, 0)  # type: ignore[no-untyped-call] # nibabel has no types
    path = image_path(porto, "sub-P1", "FLAIR")
    nib.save(image, path)
    with pytest.raises(ConfigError, match="sub-L1 FLAIR holds the same voxels as sub-P1 FLAIR"):
        examined(train(lyon), unseen(porto))


def test_one_mask_at_two_places_is_refused_and_an_empty_one_is_not(lyon: Path, porto: Path) -> None:
    for root, subject in ((lyon, "sub-L1"), (porto, "sub-P2")):
        empty = Volume(np.zeros(SHAPE, np.uint8), oblique_affine())
        put(empty, mask_path(root, subject, "lesion"))
    examined(train(lyon), unseen(porto))
    labels = Volume(lesion(2).data * np.uint8(7), oblique_affine())
    put(labels, mask_path(porto, "sub-P2", "lesion"))
    with pytest.raises(ConfigError, match="sub-L2 lesion mask holds the same voxels as sub-P2"):
        examined(train(lyon), unseen(porto))


def test_an_image_of_one_value_is_nobodys_and_its_twin_elsewhere_is_not_refused(
    lyon: Path, porto: Path
) -> None:
    for root, subject in ((lyon, "sub-L1"), (porto, "sub-P2")):
        failed = Volume(np.full(SHAPE, -3, np.int16), oblique_affine())
        put(failed, image_path(root, subject, "T1w"))
    record = examined(train(lyon), unseen(porto))
    shown = [image.shown for image in record.places[0].images if image.subject == "sub-L1"]
    assert shown == ["sub-L1 FLAIR", "sub-L1 lesion mask"]


def test_one_voxel_apart_is_another_image(lyon: Path, porto: Path) -> None:
    image = read_volume(image_path(lyon, "sub-L1", "FLAIR"))
    image.data[5, 6, 4] += 0.5
    put(image, image_path(porto, "sub-P1", "FLAIR"))
    examined(train(lyon), unseen(porto))


def test_a_file_that_cannot_be_read_ends_nothing(lyon: Path, porto: Path) -> None:
    image_path(lyon, "sub-L1", "FLAIR").write_bytes(b"no image")
    record = examined(train(lyon), unseen(porto))
    assert "sub-L1 FLAIR" not in [image.shown for image in record.places[0].images]


def test_labels_that_differ_in_capital_letters_alone_are_one(lyon: Path, tmp_path: Path) -> None:
    porto = site(tmp_path / "data" / "porto", {"sub-l1": 3})
    with pytest.raises(ConfigError, match=r"both have sub-L1\. If"):
        examined(train(lyon), unseen(porto))
    examined(train(lyon), unseen(porto), local=True)


def test_one_image_under_two_subjects_of_a_site_that_splits_them_is_refused(
    lyon: Path,
) -> None:
    put(stripped_brain(seed=10), image_path(lyon, "sub-L2", "FLAIR"))  # that of sub-L1
    with pytest.raises(ConfigError, match=r"sub-L2 FLAIR holds the same voxels as sub-L1 FLAIR"):
        examined(train(lyon))
    examined_places([train(lyon)], recipe=WITHOUT_SHARES, labels_are_local=False)
    examined(unseen(lyon))  # `check` warns of it


def test_a_record_comes_back_and_only_changed_places_are_read_again(
    lyon: Path, porto: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = examined(train(lyon), unseen(porto))
    write_record(tmp_path / "record.json", record)
    assert read_record(tmp_path / "record.json") == record
    assert read_record(tmp_path / "nowhere.json") is None
    assert examined_again(record, recipe=RECIPE) is None
    site(porto, {"sub-P3": 5})
    read: list[Path] = []

    def watched(path: Path) -> Volume:
        read.append(path)
        return read_volume(path)

    monkeypatch.setattr("common.imaging.intake.image_digests.read_volume", watched)
    again = examined_again(record, recipe=RECIPE)
    assert again is not None
    assert again.places[1].subjects == ("sub-P1", "sub-P2", "sub-P3")
    assert len(read) == 6
    assert all(path.is_relative_to(porto) for path in read)


@pytest.mark.parametrize("content", ["{}", "[1]", '{"places": 3}', "no JSON"])
def test_a_damaged_record_is_not_to_be_mended_by_hand(tmp_path: Path, content: str) -> None:
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"record\.json: .* put it back, or begin a new run"):
        read_record(tmp_path / "record.json")


def test_a_subject_that_comes_to_the_other_side_later_is_refused(lyon: Path, porto: Path) -> None:
    record = examined(train(lyon), unseen(porto))
    site(porto, {"sub-L1": 5})
    told = r"both have sub-L1.* \(a run that has begun cannot take it: begin a new one\)"
    with pytest.raises(ConfigError, match=told):
        examined_again(record, recipe=RECIPE)


def test_a_place_that_is_gone_stays_as_it_was_recorded(lyon: Path, porto: Path) -> None:
    record = examined(train(lyon), unseen(porto))
    lyon.rename(lyon.with_name("moved"))
    assert examined_again(record, recipe=RECIPE) is None
    put(stripped_brain(seed=10), image_path(porto, "sub-P3", "FLAIR"))  # that of sub-L1
    with pytest.raises(ConfigError, match=r"sub-P3 FLAIR holds the same voxels as sub-L1 FLAIR"):
        examined_again(record, recipe=RECIPE)


def test_what_judges_is_compared_with_an_earlier_run_by_its_record(
    lyon: Path, porto: Path, tmp_path: Path
) -> None:
    earlier = examined(train(lyon)).places
    lyon.rename(lyon.with_name("moved"))
    require_apart(examined(unseen(porto)), earlier, labels_are_local=False)
    same_label = examined(unseen(site(tmp_path / "a", {"sub-L1": 8})))
    with pytest.raises(ConfigError, match="both have sub-L1"):
        require_apart(same_label, earlier, labels_are_local=False)
    require_apart(same_label, earlier, labels_are_local=True)
    same_image = examined(unseen(site(tmp_path / "b", {"sub-B1": 2})))
    with pytest.raises(ConfigError, match="sub-B1 FLAIR holds the same voxels as sub-L2 FLAIR"):
        require_apart(same_image, earlier, labels_are_local=True)


def test_labels_that_are_not_utf_8_do_not_end_the_check(lyon: Path) -> None:
    odd = lyon / b"na\xefve.nii.gz".decode("utf-8", "surrogateescape")
    try:
        odd.write_bytes(b"")
    except OSError:
        pytest.skip("this disk takes no such names")
    json.dumps(examined(train(lyon)).model_dump(mode="json"))
