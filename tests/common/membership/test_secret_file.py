"""A secret is whole, and its owner's alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from common.membership.secret_file import write_secret


def test_a_secret_is_its_owners_even_where_the_old_file_was_not(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_secret(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_mode_is_set_before_the_content_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_secret(tmp_path / "secret", b"new")
    assert modes == [0o600]


def test_a_failure_leaves_the_old_secret_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_secret(tmp_path / "secret", b"new")
    assert (tmp_path / "secret").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
