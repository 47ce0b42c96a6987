"""Forty ways to spoil an image: each ends in a finding or a clear error, never in a traceback."""

from __future__ import annotations

import gzip
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from common.arrays import Float32Array, FloatArray
from common.imaging.intake.findings import Finding
from common.imaging.intake.intake import Intake, survey
from common.imaging.volume import Volume
from common.recipe.task import Task
from tests.volumes import (
    SHAPE,
    image_path,
    mask_path,
    oblique_affine,
    put,
    stripped_brain,
    write_site,
)

NIB: Any = nibabel  # Any, for nibabel types only part of its own functions

Mutate = Callable[[Path], object]
DATA_TYPE, BITS, PIXDIM, VOX_OFFSET, SLOPE, QFORM, SFORM, SROW, MAGIC = (
    70,
    72,
    76,
    108,
    112,
    252,
    254,
    280,
    344,
)
"""Where NIfTI-1 keeps each field, bytes from the start; dim is at 40."""


def patched(offset: int, layout: str, *values: float | bytes) -> Mutate:
    """Overwrites one field of the header."""

    def mutate(path: Path) -> None:
        content = bytearray(gzip.decompress(path.read_bytes()))
        struct.pack_into("<" + layout, content, offset, *values)
        path.write_bytes(gzip.compress(bytes(content), 1))

    return mutate


def cut_at(n_bytes: int, *, packed: bool) -> Mutate:
    """Ends the file after `n_bytes`, of the compressed or of the plain bytes."""

    def mutate(path: Path) -> None:
        content = path.read_bytes()
        if packed:
            path.write_bytes(content[:n_bytes])
        else:
            path.write_bytes(gzip.compress(gzip.decompress(content)[:n_bytes], 1))

    return mutate


def holding(data: NDArray[np.generic], affine: FloatArray | None = None) -> Mutate:
    """Another image under the same name."""

    def mutate(path: Path) -> None:
        image = NIB.Nifti1Image(
            data, oblique_affine() if affine is None else affine, dtype=data.dtype
        )
        NIB.save(image, path)

    return mutate


def with_values(change: Callable[[Float32Array], object]) -> Mutate:
    def mutate(path: Path) -> None:
        image = stripped_brain()
        change(image.data)
        put(image, path)

    return mutate


def no_place(path: Path) -> None:
    patched(QFORM, "hh", 0, 0)(path)


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def forbidden(path: Path) -> None:
    path.chmod(0)


def big_endian(path: Path) -> None:
    header = NIB.Nifti1Header(endianness=">")
    header.set_data_dtype(">f4")
    image = NIB.Nifti1Image(stripped_brain().data.astype(">f4"), oblique_affine(), header)
    NIB.save(image, path)


def another_slice_distance(path: Path) -> None:
    sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
    sidecar.write_text(json.dumps({"SpacingBetweenSlices": 7.5}), encoding="utf-8")


def torn_sidecar(path: Path) -> None:
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text('{"a": ', encoding="utf-8")


def dots_and_spaces(path: Path) -> None:
    path.rename(path.with_name("my scan v1.2.nii.gz"))


def endless_extension(path: Path) -> None:
    """The flag says there is an extension, of 2 GB, where the voxels begin."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[348:352] = b"\1\0\0\0"
    content[352:352] = struct.pack("<ii", 2**31 - 16, 2) + b"short   "
    struct.pack_into("<f", content, VOX_OFFSET, 368)
    path.write_bytes(gzip.compress(bytes(content), 1))


BLOCKING = "blocking"
SKEW = oblique_affine() @ np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
NAN, INF = float("nan"), float("inf")

MUTATIONS = [
    pytest.param(lambda path: path.write_bytes(b""), "unreadable", id="empty"),
    pytest.param(lambda path: path.write_bytes(b"\0" * 5000), "unreadable", id="zeros"),
    pytest.param(
        lambda path: path.write_bytes(gzip.compress(b"no image" * 900)), "unreadable", id="gz-text"
    ),
    pytest.param(
        lambda path: path.write_bytes(b"\x1f\x8b" + b"?" * 400), "unreadable", id="gz-garbage"
    ),
    pytest.param(Path.unlink, "missing-modality", id="gone"),
    pytest.param(cut_at(1, packed=True), "unreadable", id="cut-after-1-byte"),
    pytest.param(cut_at(15, packed=True), "truncated", id="cut-in-gzip-header"),
    pytest.param(cut_at(900, packed=True), "truncated", id="cut-in-gzip-data"),
    pytest.param(cut_at(200, packed=False), "unreadable", id="cut-in-header"),
    pytest.param(cut_at(348, packed=False), "truncated", id="cut-after-header"),
    pytest.param(cut_at(4000, packed=False), "truncated", id="cut-in-voxels"),
    pytest.param(patched(MAGIC, "4s", b"oops"), "unreadable", id="wrong-magic"),
    pytest.param(patched(0, "i", 349), None, id="wrong-header-size-is-mended"),
    pytest.param(patched(40, "h", 9), "unreadable", id="nine-axes"),
    pytest.param(patched(42, "hhh", 32767, 32767, 32767), "truncated", id="huge-dims"),
    pytest.param(patched(42, "h", -12), "unreadable", id="negative-dim"),
    pytest.param(patched(42, "h", 0), "unreadable", id="zero-dim"),
    pytest.param(patched(VOX_OFFSET, "f", 1e30), "truncated", id="huge-offset"),
    pytest.param(patched(VOX_OFFSET, "f", NAN), "unreadable", id="nan-offset"),
    pytest.param(patched(VOX_OFFSET, "f", -352), "unreadable", id="negative-offset"),
    pytest.param(patched(DATA_TYPE, "h", 9999), "unreadable", id="unknown-type"),
    pytest.param(patched(PIXDIM + 4, "f", 0), "bad-affine", id="zero-spacing"),
    pytest.param(patched(PIXDIM + 4, "f", NAN), "bad-affine", id="nan-spacing"),
    pytest.param(patched(PIXDIM + 4, "f", INF), "bad-affine", id="infinite-spacing"),
    pytest.param(
        patched(SROW, "12f", 1e6, 0, 0, 0, 0, 1e6, 0, 0, 0, 0, 1e6, 0), "odd-spacing", id="1-km"
    ),
    pytest.param(
        patched(SROW, "12f", 1e-6, 0, 0, 0, 0, 1e-6, 0, 0, 0, 0, 1e-6, 0), "odd-spacing", id="1-nm"
    ),
    pytest.param(patched(SROW, "4f", 0, 0, 0, 0), "bad-affine", id="singular-affine"),
    pytest.param(patched(SROW, "4f", NAN, 0, 0, 0), "bad-affine", id="nan-affine"),
    pytest.param(patched(SLOPE, "ff", NAN, NAN), None, id="nan-slope-means-none"),
    pytest.param(patched(SLOPE, "ff", 0, 3), None, id="zero-slope-means-none"),
    pytest.param(patched(SLOPE, "ff", 1e38, 0), "not-finite", id="slope-overflows"),
    pytest.param(holding(np.zeros((*SHAPE, 3), np.float32)), "not-3d", id="4-d"),
    pytest.param(holding(np.zeros(SHAPE[:2], np.float32)), "not-3d", id="2-d"),
    pytest.param(holding(np.zeros((*SHAPE, 1, 2), np.float32)), "not-3d", id="5-d"),
    pytest.param(
        holding(stripped_brain().data.astype(np.complex64)), "not-grey", id="complex-values"
    ),
    pytest.param(
        holding(np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))),
        "not-grey",
        id="colours",
    ),
    pytest.param(holding(stripped_brain().data.astype(np.int64)), None, id="int64-is-fine"),
    pytest.param(holding(np.full(SHAPE, 7, np.int16)), "empty-image", id="constant"),
    pytest.param(
        with_values(lambda data: data.__setitem__((5, 6, 3), np.nan)), "not-finite", id="a-nan"
    ),
    pytest.param(
        with_values(lambda data: data.__setitem__((5, 6, 3), -np.inf)), "not-finite", id="an-inf"
    ),
    pytest.param(with_values(lambda data: np.negative(data, out=data)), "negative", id="negative"),
    pytest.param(with_values(lambda data: np.minimum(data, 60, out=data)), "clipped", id="clipped"),
    pytest.param(no_place, "image-grid", id="no-sform-no-qform"),
    pytest.param(holding(stripped_brain().data, SKEW), "image-grid", id="sheared"),
    pytest.param(big_endian, None, id="big-endian-is-fine"),
    pytest.param(another_slice_distance, "sidecar-spacing", id="mismatched-sidecar"),
    pytest.param(torn_sidecar, "free-text", id="torn-sidecar"),
    pytest.param(dots_and_spaces, "name", id="dots-and-spaces"),
    pytest.param(link_to_itself, "unreadable", id="link-to-itself"),
    pytest.param(folder_instead, "missing-modality", id="a-folder"),
    pytest.param(endless_extension, "identity", id="endless-extension"),
    pytest.param(
        forbidden,
        "unreadable",
        id="no-permission",
        marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything"),
    ),
]


def spoilt(root: Path, mutate: Mutate, *, raw: bool = False) -> Intake:
    """A site of one case whose FLAIR has been spoilt."""
    write_site(root, subjects=["sub-01"])
    mutate(image_path(root, "sub-01", "FLAIR"))
    return survey(root, task=Task(modalities=("FLAIR", "T1w")), raw=raw, thorough=True)


def with_code(findings: tuple[Finding, ...], code: str) -> list[Finding]:
    return [finding for finding in findings if finding.code == code]


@pytest.mark.parametrize(("mutate", "code"), MUTATIONS)
def test_a_spoilt_image_is_a_finding_that_says_what_to_do(
    tmp_path: Path, mutate: Mutate, code: str | None
) -> None:
    intake = spoilt(tmp_path, mutate)
    if code is None:
        assert not intake.quarantined
        return
    found = with_code(intake.findings, code)
    assert found, [str(finding) for finding in intake.findings]
    assert all(finding.fix.endswith(".") and finding.text for finding in found)


@pytest.mark.parametrize("mutate", [mutation.values[0] for mutation in MUTATIONS])
def test_a_spoilt_image_is_a_finding_for_preparing_as_well(tmp_path: Path, mutate: Mutate) -> None:
    intake = spoilt(tmp_path, mutate, raw=True)
    left_out = {finding.case for finding in intake.findings if finding.level == BLOCKING}
    assert (left_out == {"sub-01"}) == (intake.quarantined == ("sub-01",))


def test_a_sheared_image_cannot_be_prepared(tmp_path: Path) -> None:
    intake = spoilt(tmp_path, holding(stripped_brain().data, SKEW), raw=True)
    (finding,) = with_code(intake.findings, "skew-axes")
    assert finding.level == BLOCKING
    assert "want axes at right angles" in finding.text


@pytest.mark.parametrize(
    ("values", "code"),
    [
        pytest.param(np.full(SHAPE, 0.5, np.float32), "not-labels", id="fractions"),
        pytest.param(np.full(SHAPE, -1, np.int16), "not-labels", id="negative"),
        pytest.param(np.full(SHAPE, np.nan, np.float32), "not-finite", id="nan"),
        pytest.param(np.zeros(SHAPE, np.uint8), "no-lesions", id="empty"),
        pytest.param(np.zeros((12, 14, 9), np.uint8), "mask-grid", id="another-shape"),
    ],
)
def test_a_spoilt_mask_is_a_finding(tmp_path: Path, values: NDArray[np.generic], code: str) -> None:
    write_site(tmp_path, subjects=["sub-01"])
    put(Volume(values, oblique_affine()), mask_path(tmp_path, "sub-01", "lesion"))
    intake = survey(tmp_path, task=Task(modalities=("FLAIR", "T1w")), thorough=True)
    assert with_code(intake.findings, code)
