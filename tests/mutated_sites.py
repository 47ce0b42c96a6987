"""Small sites spoilt in ways drawn from a seed: headers, voxels, compression, names, links."""

from __future__ import annotations

import gzip
import json
import os
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from common.arrays import FloatArray

NIB: Any = nibabel  # Any, for nibabel types only part of its own functions

Rng = np.random.Generator
FIELDS = [
    *[(offset, "h") for offset in range(40, 56, 2)],  # dim
    (0, "i"),  # sizeof_hdr
    (68, "h"),  # intent_code
    (70, "h"),  # datatype
    (72, "h"),  # bitpix
    *[(offset, "f") for offset in range(76, 108, 4)],  # pixdim
    (108, "f"),  # vox_offset
    (112, "f"),  # scl_slope
    (116, "f"),  # scl_inter
    (123, "b"),  # xyzt_units
    (252, "h"),  # qform_code
    (254, "h"),  # sform_code
    *[(offset, "f") for offset in range(256, 328, 4)],  # quatern, qoffset, srow
    (344, "4s"),  # magic
    (348, "4s"),  # extension flag
]
"""Where NIfTI-1 keeps what places the image and says how its voxels are stored."""

WHOLE = [0, 1, -1, 2, 3, 4, 5, 6, 7, 8, 16, 64, 127, 128, 255, 512, 768, 1024, 1280, 1536, 1792]
WHOLE += [2304, 9999, 32767, -32768]
REAL = [0.0, -0.0, 1.0, -1.0, 1e-45, 1e-6, 1e-3, 0.5, 1.00001, 1.5, 12.0, 80.0, 352.0, 353.5, 540.0]
REAL += [1e6, 1e30, 3.4e38, -3.4e38, float("nan"), float("inf"), float("-inf")]
TEXTS = [
    b"",
    b"\0" * 100,
    b"{",
    b"[]",
    b"[" * 100_000,
    b'{"SpacingBetweenSlices": 1' + b"0" * 5000 + b', "SliceThickness": 1e400}',
    b'{"SpacingBetweenSlices": "three", "SliceThickness": []}',
    b'{"SpacingBetweenSlices": -Infinity, "SliceThickness": NaN}',
    b'{"SpacingBetweenSlices": 3.0, "SliceThickness": 2, "PatientName": "A^B"}',
    b'{"a": {"b": [{"c": "\xff\xfe"}]}}',
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    json.dumps({"Köln": "\N{SNOWMAN}", "x" * 3000: [1, None, True]}).encode(),
]
TABLES = [
    b"",
    b"\n\n\n",
    b"participant_id\tdiagnosis\nsub-01\thealthy\nsub-01\tMS\nsub-99\t\n",
    b"participant_id\tdiagnosis\nsub-01\n\t\t\t\nsub-02\tgesund\textra\tmore\n",
    b"participant_id,diagnosis\nsub-01,MS\n",
    "participant_id\tname\nsub-01\tJosé\n".encode("latin-1"),
    "participant_id\tdiagnosis\nsub-01\tMS\n".encode("utf-16"),
    b'participant_id\tdiagnosis\n"sub-01\tMS\nsub-02\tMS\n',
    b"participant_id\tparticipant_id\nsub-01\t01\n",
    b"participant_id\tage\nsub-01\t" + b"9" * 140_000 + b"\n",
    b"participant_id\tage\nsub-01\t1e999\nsub-02\t\xc2\xb2\nsub-03\t9\xd9\xa1\n",
    b"\0participant_id\tdiagnosis\0\nsub-01\t\0\n",
    b"session_id\tacq_time\nses-01\t0001-01-01T00:00:00\nses-02\t9999-12-31T23:59:59\n",
    b"session_id\tdays\nses-01\tnan\nses-02\tinf\n\t1e999\nses-\t-0\n",
    b"filename\tacq_time\nanat/x.nii.gz\t2026-02-30\n\t\n",
]
NAMES = [
    b"sub-01_ses-0\xe9_FLAIR.nii.gz",
    b"sub-\xff_FLAIR.nii.gz",
    b"sub-01_FLAIR.NII.GZ",
    b"sub-01_FLAIR.nii",
    b"sub-01_acq-[red]_FLAIR.nii.gz",
    b"sub-[bold]_T1w.nii.gz",
    b"sub-01_desc-lesion\n_mask.nii.gz",
    b"sub-01_desc-lesion_mask.nii",
    b"sub-01-02_FLAIR.nii.gz",
    b"-rf.nii.gz",
    b"sub-01_ses-_FLAIR.nii.gz",
    b"sub-_FLAIR.nii.gz",
    b"sub-01_desc-brain_mask.nii.gz",
    b"sub-01_space-MNI152_desc-lesion_mask.nii.gz",
    b"sub-01_" + b"acq-a_" * 30 + b"FLAIR.nii.gz",
    "sub-01_FLAIR\N{PILE OF POO}.nii.gz".encode(),
    b"IM0001",
    b"sub-01_sessions.tsv",
    b"sub-01_scans.tsv",
    b"sub-01_desc-centreline.tsv",
    b"\x1b[31m.nii.gz",
    b".hidden.nii.gz",
]
AFFINES: list[Callable[[Rng], FloatArray]] = [
    lambda rng: rng.normal(0, 2, (4, 4)),
    lambda rng: np.diag([*rng.choice([-1, 1], 3) * rng.uniform(0.5, 20, 3), 1.0]),
    lambda rng: np.diag([16.0, 16.0, 16.0, 1.0]),
    lambda rng: np.diag([1e-3, 1e-3, 1e-3, 1.0]),
    lambda rng: np.diag([1.0, 0.0, 1.0, 1.0]),
]


def mutated_site(root: Path, seed: int) -> list[str]:
    """Writes a small site with one to five mutations under `root`, and says which, in order."""
    rng = np.random.default_rng(seed)
    _write_good(root, rng)
    done = []
    for _ in range(int(rng.integers(1, 6))):
        files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        if not files:
            break
        mutate = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        path = files[int(rng.integers(len(files)))]
        done.append(f"{mutate.__name__} {path.relative_to(root)!r}")
        try:
            mutate(path, rng)
        except OSError:
            done[-1] += " (the disk refused it)"
    return done


def _write_good(root: Path, rng: Rng) -> None:
    """One or two subjects of one or two sessions; some are as large as a head."""
    large = bool(rng.random() < 0.2)
    sessions = ["", "ses-01", "ses-02"][: 1 + 2 * int(rng.random() < 0.3)]
    for subject in ("sub-01", "sub-02")[: int(rng.integers(1, 3))]:
        for session in sessions[1:] or sessions:
            stem = subject + (f"_{session}" if session else "")
            anat = root / subject / session / "anat"
            anat.mkdir(parents=True, exist_ok=True)
            for suffix in ("FLAIR", "T1w"):
                name = f"{stem}_{suffix}.nii.gz"
                (anat / name).write_bytes(_image(int(rng.integers(4)), large, "image"))
            masks = root / "derivatives" / "lesions" / subject / session / "anat"
            masks.mkdir(parents=True, exist_ok=True)
            (masks / f"{stem}_desc-lesion_mask.nii.gz").write_bytes(_image(0, large, "lesions"))
            if rng.random() < 0.3:
                (masks / f"{stem}_desc-brain_mask.nii.gz").write_bytes(_image(0, large, "brain"))
            if rng.random() < 0.3:
                (anat / f"{stem}_FLAIR.json").write_bytes(b'{"SliceThickness": 3}')
    if rng.random() < 0.5:
        (root / "participants.tsv").write_bytes(TABLES[2])


@cache
def _image(seed: int, large: bool, what: str) -> bytes:
    rng = np.random.default_rng(seed)
    away = np.linalg.norm((np.indices((12, 13, 11)).T - [5.5, 6, 5]).T, axis=0)
    brain = away < 4.5
    data = np.where(brain, rng.uniform(50, 150, brain.shape), 0).astype(np.int16)
    if what != "image":
        data = (brain if what == "brain" else away < 1.5).astype(np.uint8)
    affine = np.diag([-16.0, 16, 16, 1] if large else [-1.0, 1.25, 3, 1])
    affine[:3, 3] = (60, -70, -50)
    return gzip.compress(_nifti(data, affine), 1)


def _nifti(data: np.ndarray[Any, Any], affine: FloatArray) -> bytes:
    image = NIB.Nifti1Image(data, affine, dtype=data.dtype)
    image.set_sform(affine, 1)
    return bytes(image.to_bytes())


def _plain(path: Path) -> bytearray:
    """The content, decompressed unless it was spoilt before."""
    content = path.read_bytes()
    try:
        return bytearray(gzip.decompress(content))
    except (OSError, EOFError, zlib.error):
        return bytearray(content)


def _put(path: Path, content: bytes | bytearray, rng: Rng) -> None:
    path.write_bytes(gzip.compress(bytes(content), 1) if rng.random() < 0.8 else bytes(content))


def header_bytes(path: Path, rng: Rng) -> None:
    content = _plain(path)
    for at in rng.integers(0, max(1, min(352, len(content))), int(rng.integers(1, 30))):
        if at < len(content):
            content[at] = int(rng.integers(256))
    _put(path, content, rng)


def header_fields(path: Path, rng: Rng) -> None:
    content = _plain(path)
    for _ in range(int(rng.integers(1, 4))):
        offset, kind = FIELDS[int(rng.integers(len(FIELDS)))]
        value: Any = rng.choice(REAL)
        if kind in "hib":
            low, high = {"h": (-32768, 32767), "i": (-(2**31), 2**31 - 1), "b": (-128, 127)}[kind]
            value = int(np.clip(rng.choice(WHOLE), low, high))
        elif kind == "4s":
            value = bytes(rng.choice([b"ni1\0", b"n+1\0", b"n+2\0", b"\1\0\0\0", b"\0\0\0\0"]))
        if len(content) >= 352:
            struct.pack_into("<" + kind, content, offset, value)
    _put(path, content, rng)


def place(path: Path, rng: Rng) -> None:
    content = _plain(path)
    if len(content) >= 352:
        affine = AFFINES[int(rng.integers(len(AFFINES)))](rng)
        struct.pack_into("<12f", content, 280, *affine[:3].ravel())
        struct.pack_into("<hh", content, 252, *(int(code) for code in rng.integers(0, 3, 2)))
        struct.pack_into("<fff", content, 256, *rng.uniform(-1, 1, 3))
    _put(path, content, rng)


def voxel_bytes(path: Path, rng: Rng) -> None:
    content = _plain(path)
    if len(content) > 352:
        for at in rng.integers(352, len(content), int(rng.integers(1, 400))):
            content[at] = int(rng.integers(256))
    _put(path, content, rng)


def packed_bytes(path: Path, rng: Rng) -> None:
    content = bytearray(path.read_bytes())
    for at in rng.integers(0, max(1, len(content)), int(rng.integers(1, 8))):
        if at < len(content):
            content[at] = int(rng.integers(256))
    path.write_bytes(content)


def cut(path: Path, rng: Rng) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(0, len(content) + 1))])


def cut_plain(path: Path, rng: Rng) -> None:
    content = _plain(path)
    _put(path, content[: int(rng.integers(0, len(content) + 1))], rng)


def emptied(path: Path, rng: Rng) -> None:
    path.write_bytes(b"")


def noise(path: Path, rng: Rng) -> None:
    start = [b"", b"\x1f\x8b\x08\0", b"\x1f\x8b", b"DICM"][int(rng.integers(4))]
    path.write_bytes(start + rng.bytes(int(rng.integers(0, 3000))))


def packed_otherwise(path: Path, rng: Rng) -> None:
    content = bytes(_plain(path))
    middle = len(content) // 2
    forms = [
        content,
        gzip.compress(gzip.compress(content)),
        gzip.compress(content[:middle]) + gzip.compress(content[middle:]),
        gzip.compress(content) + bytes(4096),
        gzip.compress(content) + b"\x00tape block" * 9,
        gzip.compress(content) + gzip.compress(content)[:30],
        gzip.compress(content + bytes(3_000_000)),
        b"\0" * 7 + gzip.compress(content),
    ]
    path.write_bytes(forms[int(rng.integers(len(forms)))])


def other_values(path: Path, rng: Rng) -> None:
    shape = tuple(int(n) for n in rng.choice([1, 2, 12, 13], 3))
    arrays: list[np.ndarray[Any, Any]] = [
        np.full(shape, 7, np.int16),
        np.full(shape, np.nan, np.float32),
        np.full(shape, 3e38, np.float32),
        np.full(shape, 1e300, np.float64),
        rng.normal(0, 100, shape).astype(np.float32),
        rng.normal(0, 1e-30, shape).astype(np.float64),
        rng.integers(0, 2**16, shape).astype(np.uint16),
        rng.integers(-(2**62), 2**62, shape),
        rng.integers(0, 2**64, shape, dtype=np.uint64),
        (rng.random(shape) < 0.5).astype(np.float32) * np.float32(0.9999999),
        rng.random(shape).astype(np.float32),
        np.zeros((*shape, 2), np.int16),
        np.zeros((*shape, 1, 1, 1), np.int16),
        np.zeros(shape[:2], np.int16),
        np.zeros(shape, np.complex64),
        np.zeros(shape, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])),
        np.zeros(shape, np.uint8),
        np.ones(shape, np.uint8),
    ]
    content = bytearray(_nifti(arrays[int(rng.integers(len(arrays)))], np.diag([1.0, 2, 3, 1])))
    if rng.random() < 0.3:
        struct.pack_into("<ff", content, 112, *rng.choice(REAL, 2))
    _put(path, content, rng)


def extension(path: Path, rng: Rng) -> None:
    content = _plain(path)
    if len(content) > 352:
        size = int(rng.choice([-16, 0, 8, 16, 17, 2**31 - 1]))
        content[348:352] = b"\1\0\0\0"
        content[352:352] = struct.pack("<ii", size, int(rng.choice([2, 4, 6, 44, -1]))) + b"PAT^NAM"
        struct.pack_into("<f", content, 108, float(rng.choice([352, 367, 368, 400, 1e7])))
    _put(path, content, rng)


def folder_instead(path: Path, rng: Rng) -> None:
    path.unlink()
    path.mkdir()


def linked(path: Path, rng: Rng) -> None:
    targets = ["nowhere", path.name, "/dev/null", "/dev/zero", "..", "../..", "/proc/self/mem"]
    path.unlink()
    path.symlink_to(targets[int(rng.integers(len(targets)))])


def linked_folder(path: Path, rng: Rng) -> None:
    (path.parent / "again").symlink_to([".", "..", "again"][int(rng.integers(3))])


def pipe(path: Path, rng: Rng) -> None:
    path.unlink()
    os.mkfifo(path)


def pipe_beside(path: Path, rng: Rng) -> None:
    names = ["IM0001", "participants.tsv", "x.json", "sub-01_scans.tsv", "sub-01_T2w.nii.gz"]
    os.mkfifo(path.parent / names[int(rng.integers(len(names)))])


def forbidden(path: Path, rng: Rng) -> None:
    (path if rng.random() < 0.7 else path.parent).chmod(0)


def renamed(path: Path, rng: Rng) -> None:
    path.rename(os.fsdecode(os.path.join(os.fsencode(path.parent), NAMES[_place(NAMES, rng)])))


def copied(path: Path, rng: Rng) -> None:
    copy = Path(os.fsdecode(os.path.join(os.fsencode(path.parent), NAMES[_place(NAMES, rng)])))
    content = path.read_bytes()
    copy.unlink(missing_ok=True)  # it may be a link to a device
    copy.write_bytes(content)


def removed(path: Path, rng: Rng) -> None:
    path.unlink()


def table(path: Path, rng: Rng) -> None:
    names = [
        "participants.tsv",
        "sub-01/sub-01_sessions.tsv",
        "sub-01/ses-01/sub-01_ses-01_scans.tsv",
    ]
    root = next(parent for parent in path.parents if (parent / "sub-01").exists())
    beside = root / names[int(rng.integers(len(names)))]
    beside.unlink(missing_ok=True)
    if rng.random() < 0.1:
        beside.mkdir()
    else:
        beside.write_bytes(TABLES[_place(TABLES, rng)])


def sidecar(path: Path, rng: Rng) -> None:
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    beside = path.parent / f"{stem}.json"
    beside.unlink(missing_ok=True)
    beside.write_bytes(TEXTS[_place(TEXTS, rng)])


def description(path: Path, rng: Rng) -> None:
    root = next(parent for parent in path.parents if (parent / "sub-01").exists())
    names = ["dataset_description.json", ".bidsignore", "participants.json", "derivatives.json"]
    (root / names[int(rng.integers(len(names)))]).write_bytes(TEXTS[_place(TEXTS, rng)])


def _place(choices: list[bytes], rng: Rng) -> int:
    return int(rng.integers(len(choices)))


MUTATIONS: list[Callable[[Path, Rng], None]] = [
    *[header_bytes, header_fields, header_fields, place, voxel_bytes, packed_bytes, cut, cut_plain],
    *[emptied, noise, packed_otherwise, other_values, other_values, extension, folder_instead],
    *[linked, linked_folder, pipe, pipe_beside, forbidden, renamed, copied, removed],
    *[table, table, sidecar, sidecar, description],
]
