from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import SiteDataError
from common.imaging.dataset.drawn_reference import drawn_reference_file, read_drawn_reference
from common.imaging.volume import Volume, VolumeFault, read_mask, write_volume
from tests.drawn import drawn_lesions, move, prepared_affine, write_drawn
from tests.volumes import oblique_affine


def sidecar(drawn: Path) -> Path:
    return drawn.with_name(drawn.name.replace(".nii.gz", ".json"))


def test_the_reference_is_found_beside_the_prepared_one_with_its_move(tmp_path: Path) -> None:
    drawn, prepared = write_drawn(tmp_path)
    assert drawn_reference_file(prepared) == drawn
    read = read_drawn_reference(drawn, prepared)
    np.testing.assert_array_equal(read.lesions.data, drawn_lesions())
    np.testing.assert_allclose(read.lesions.affine, oblique_affine((1, 1, 6)), atol=1e-5)
    np.testing.assert_array_equal(read.to_common, move())


def test_a_folder_that_was_prepared_by_other_means_has_none(tmp_path: Path) -> None:
    """Neither where no such file is there, nor where it is somebody else's."""
    drawn, prepared = write_drawn(tmp_path)
    sidecar(drawn).write_text('{"SpatialReference": "orig"}', encoding="utf-8")
    assert drawn_reference_file(prepared) is None
    sidecar(drawn).unlink()
    assert drawn_reference_file(prepared) is None
    drawn.unlink()
    assert drawn_reference_file(prepared) is None


def test_a_damaged_sidecar_does_not_move_the_verdict_to_another_grid(tmp_path: Path) -> None:
    drawn, prepared = write_drawn(tmp_path)
    sidecar(drawn).write_text("{", encoding="utf-8")
    assert drawn_reference_file(prepared) == drawn
    with pytest.raises(SiteDataError, match=r"json: want the move .* prepare again") as raised:
        read_drawn_reference(drawn, prepared)
    assert raised.value.code == "scanner-reference"


@pytest.mark.parametrize("left", [None, '["no", "record"]', "{}"])
def test_a_lost_record_does_not_move_the_verdict_of_a_folder_that_we_prepared(
    tmp_path: Path, left: str | None
) -> None:
    """Copied without the one sidecar, as `cp *.nii.gz` beside another's tables does."""
    drawn, prepared = write_drawn(tmp_path)
    sidecar(prepared).write_text('{"LesionFed": {"Key": "k"}}', encoding="utf-8")
    if left is None:
        sidecar(drawn).unlink()
    else:
        sidecar(drawn).write_text(left, encoding="utf-8")
    assert drawn_reference_file(prepared) == drawn
    with pytest.raises(SiteDataError, match=r"json: want the move .* remove the file with space"):
        read_drawn_reference(drawn, prepared)
    drawn.unlink()  # as the message says
    assert drawn_reference_file(prepared) is None


@pytest.mark.parametrize("unpacked", ["drawn", "prepared", "both"])
def test_a_reference_that_was_unpacked_is_refused_and_not_overlooked(
    tmp_path: Path, unpacked: str
) -> None:
    files = dict(zip(("drawn", "prepared"), write_drawn(tmp_path), strict=True))
    for name in ("drawn", "prepared") if unpacked == "both" else (unpacked,):
        packed = files[name]
        files[name] = packed.with_suffix("")
        files[name].write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    assert drawn_reference_file(files["prepared"]) == files["drawn"]
    with pytest.raises(SiteDataError, match="want the file as it was prepared"):
        read_drawn_reference(files["drawn"], files["prepared"])


@pytest.mark.parametrize("changed", ["drawn", "prepared"])
def test_a_reference_that_was_edited_after_preparing_is_refused(
    tmp_path: Path, changed: str
) -> None:
    """Whether the radiologist corrected the one or the other: they are no pair any more."""
    drawn, prepared = write_drawn(tmp_path)
    path = drawn if changed == "drawn" else prepared
    mask = read_mask(path)
    mask.data[0, 0, 0] = True
    write_volume(mask, path)
    with pytest.raises(SiteDataError, match=f"{path.name}: want the file as it was prepared"):
        read_drawn_reference(drawn, prepared)


def test_a_link_without_content_is_an_error_not_an_absent_reference(tmp_path: Path) -> None:
    drawn, prepared = write_drawn(tmp_path)
    drawn.unlink()
    drawn.symlink_to(tmp_path / "annex" / "object")
    assert drawn_reference_file(prepared) == drawn
    with pytest.raises(VolumeFault, match="no such file"):
        read_drawn_reference(drawn, prepared)


def stretched() -> list[list[float]]:
    rows: list[list[float]] = (np.diag([1.1, 1, 1, 1]) @ move()).tolist()
    return rows


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (stretched(), "want a rotation and a shift"),
        (np.diag([-1.0, 1, 1, 1]).tolist(), "want a rotation and a shift"),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], "want 4 x 4 finite numbers"),
        ([[1, 0, 0, None], *np.eye(4)[1:].tolist()], "want 4 x 4 finite numbers"),
        ("identity", "found ValueError"),
        (None, "want 4 x 4 finite numbers"),
    ],
)
def test_a_move_that_no_preparation_writes_is_refused(
    tmp_path: Path, rows: object, told: str
) -> None:
    drawn, prepared = write_drawn(tmp_path)
    content = json.loads(sidecar(drawn).read_text("utf-8"))
    content["LesionFed"]["ScannerToCommon"] = rows
    sidecar(drawn).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SiteDataError, match=told):
        read_drawn_reference(drawn, prepared)


def test_the_pair_is_told_from_another_sessions(tmp_path: Path) -> None:
    """Only the name that differs in space- alone is a reference's own."""
    drawn, _ = write_drawn(tmp_path)
    other = tmp_path / "sub-01_ses-02_desc-lesion_mask.nii.gz"
    write_volume(Volume(np.ones((2, 2, 2), bool), prepared_affine()), other)
    assert drawn_reference_file(other) is None
    assert drawn.exists()
