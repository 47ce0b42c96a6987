from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from common.imaging.intake.nifti_header import read_header
from common.imaging.volume import VolumeFault
from tests.volumes import oblique_affine, stripped_brain

NIB: Any = nibabel  # Any, for nibabel types only part of its own functions


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
@pytest.mark.parametrize("kind", [NIB.Nifti1Image, NIB.Nifti2Image])
def test_type_texts_and_extensions_are_read_without_the_voxels(
    tmp_path: Path, name: str, kind: type
) -> None:
    image = kind(stripped_brain().data.astype(np.int16), oblique_affine())
    image.header["descrip"] = b"of a kind"
    image.header.extensions.append(NIB.nifti1.Nifti1Extension(6, b"a comment"))
    NIB.save(image, tmp_path / name)
    header = read_header(tmp_path / name)
    assert header.data_type == "int16"
    assert header.texts == {"descrip": "of a kind"}
    ((code, content),) = header.extensions
    assert (code, content.rstrip(b"\0")) == (6, b"a comment")


def test_big_endian_types_have_their_plain_name(tmp_path: Path) -> None:
    header = NIB.Nifti1Header(endianness=">")
    header.set_data_dtype(">f4")
    data = stripped_brain().data.astype(">f4")
    NIB.save(NIB.Nifti1Image(data, oblique_affine(), header), tmp_path / "image.nii")
    assert read_header(tmp_path / "image.nii").data_type == "float32"


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"\x1f\x8b\x08\0nothing", b"x" * 348])
def test_what_is_no_nifti_is_a_fault_that_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.nii.gz"
    path.write_bytes(content)
    with pytest.raises(VolumeFault, match="want a NIfTI header, found"):
        read_header(path)


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(VolumeFault, match="No such file"):
        read_header(tmp_path / "image.nii.gz")
