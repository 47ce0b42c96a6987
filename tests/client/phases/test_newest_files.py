from __future__ import annotations

import os
from pathlib import Path

from client.phases.newest_files import remove_older_than


def test_the_file_just_written_and_the_newest_other_stay(tmp_path: Path) -> None:
    """Written in the order c, a, d, b; b is the last, whatever its time says."""
    for seconds, name in enumerate("cad"):
        path = tmp_path / f"{name}.safetensors"
        path.touch()
        os.utime(path, (100 + seconds, 100 + seconds))
    written = tmp_path / "b.safetensors"
    written.touch()
    os.utime(written, (1, 1))
    another_writer = tmp_path / ".e.safetensors.partial"
    another_writer.touch()
    remove_older_than(written)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"b.safetensors", "d.safetensors", another_writer.name}
