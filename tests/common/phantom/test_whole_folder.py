from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ConfigError
from common.phantom.whole_folder import refuse_filled, whole_folder


def test_folder_appears_when_the_block_ends_well(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with whole_folder(out) as part:
        (part / "site-1").mkdir(parents=True)
        assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "site-1").is_dir()


def test_nothing_stays_of_a_block_that_fails(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        part.mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "out") as part:
        fail(part)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=r"file/out: cannot be written: .* with room"),
        whole_folder(tmp_path / "file" / "out") as part,
    ):
        part.mkdir(parents=True)


def test_empty_folder_is_taken_and_a_file_is_not(tmp_path: Path) -> None:
    refuse_filled(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: want a new or empty folder"):
        refuse_filled(tmp_path / "file")
