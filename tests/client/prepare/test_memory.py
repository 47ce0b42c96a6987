from __future__ import annotations

import gzip
import struct
import threading
from pathlib import Path

import pytest

from client.prepare import memory
from client.prepare.memory import MemoryBudget, needed_bytes
from common.errors import SiteDataError
from tests.client.prepare.jobs import toy_job
from tests.volumes import image_path
from tests.waiting import LIMIT_S


def test_the_estimate_counts_the_scanner_s_voxels_and_those_of_the_common_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two images of 12 x 14 x 8 = 1344 voxels of 1 x 1.25 x 3 = 3.75 mm3 each: 2688 voxels,
    2 x 5040 mm3, and as many voxels of 1 mm."""
    monkeypatch.setattr(memory, "BASE_BYTES", 1000)
    monkeypatch.setattr(memory, "BYTES_PER_SCANNER_VOXEL", 10)
    monkeypatch.setattr(memory, "BYTES_PER_COMMON_VOXEL", 3)
    assert needed_bytes(toy_job(tmp_path)) == 1000 + 10 * 2688 + 3 * 10080
    fine = toy_job(tmp_path, "preprocessing.spacing_mm=0.5")
    assert needed_bytes(fine) == 1000 + 10 * 2688 + 8 * 3 * 10080


def test_what_never_fits_is_refused_with_both_figures() -> None:
    with (
        pytest.raises(SiteDataError, match=r"needs about 3.0 GB of memory, and 2.0 GB can be had"),
        MemoryBudget(2_000_000_000).reserve(3_000_000_000),
    ):
        pass


def test_a_case_waits_until_it_fits_beside_the_others() -> None:
    """10 may be held: 6 goes in, 5 waits for it, 4 fits beside it."""
    budget, order = MemoryBudget(10), []
    six_is_in, six_may_go, four_was_in = (threading.Event() for _ in range(3))

    def six() -> None:
        with budget.reserve(6):
            six_is_in.set()
            six_may_go.wait(LIMIT_S)
            order.append("six goes")

    def five() -> None:
        six_is_in.wait(LIMIT_S)
        with budget.reserve(5):
            order.append("five is in")

    def four() -> None:
        six_is_in.wait(LIMIT_S)
        with budget.reserve(4):
            order.append("four is in")
        four_was_in.set()

    threads = [threading.Thread(target=work) for work in (six, five, four)]
    for thread in threads:
        thread.start()
    four_was_in.wait(LIMIT_S)
    six_may_go.set()
    for thread in threads:
        thread.join(LIMIT_S)
    assert order == ["four is in", "six goes", "five is in"]


@pytest.mark.parametrize("modality", ["FLAIR", "T1w"])
def test_the_estimate_reads_what_intake_reads_whatever_the_file_s_ending(
    tmp_path: Path, modality: str
) -> None:
    """Plain bytes named .nii.gz."""
    job = toy_job(tmp_path)
    before = needed_bytes(job)
    path = image_path(tmp_path / "bids", "sub-01", modality)
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert needed_bytes(job) == before
    assert toy_job(tmp_path).name == "sub-01", "planned as any other"


def test_the_estimate_takes_the_spacing_of_the_affine(tmp_path: Path) -> None:
    """pixdim[1] lies at byte 80: 9 mm there change nothing, since the sform places the image."""
    job = toy_job(tmp_path)
    before = needed_bytes(job)
    path = image_path(tmp_path / "bids", "sub-01", "T1w")
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[80:84] = struct.pack("<f", 9.0)
    path.write_bytes(gzip.compress(bytes(content)))
    assert needed_bytes(job) == before
