from __future__ import annotations

from pathlib import Path

import pytest

from server.federation import proxy
from server.federation.proxy import rotate_proxy_logs
from tests.server.federation.made_federation import made_federation


def test_a_log_past_the_bound_is_put_aside_and_continues_in_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "KEEP_LOG_BYTES", 10)
    folder = made_federation(tmp_path / "f")
    folder.proxy_file.parent.mkdir(exist_ok=True)
    log = folder.proxy_file.with_name("access.log")
    small = folder.proxy_file.with_name("error.log")
    small.write_text("9 bytes..", "utf-8")
    with log.open("a", encoding="utf-8") as nginx:  # it holds the file open
        for lines in ("first line\n", "second line\n"):
            nginx.write(lines)
            nginx.flush()
            rotate_proxy_logs(folder)
            assert log.with_name("access.log.1").read_text("utf-8") == lines
            assert log.read_text("utf-8") == ""
        nginx.write("third\n")
    rotate_proxy_logs(folder)
    assert log.read_text("utf-8") == "third\n"
    assert small.read_text("utf-8") == "9 bytes.."
    assert not small.with_name("error.log.1").exists()


def test_a_log_stays_where_the_disk_has_little_room_for_its_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "KEEP_LOG_BYTES", 10)
    monkeypatch.setattr(proxy, "ROOM_FOR_COPY", 1 << 60)  # more than any disk has
    folder = made_federation(tmp_path / "f")
    log = folder.proxy_file.with_name("access.log")
    log.parent.mkdir(exist_ok=True)
    log.write_text("eleven byte", "utf-8")
    rotate_proxy_logs(folder)
    assert log.read_text("utf-8") == "eleven byte"
    assert [path.name for path in log.parent.glob("*access*")] == ["access.log"]


def test_without_a_log_there_is_nothing_to_do(tmp_path: Path) -> None:
    rotate_proxy_logs(made_federation(tmp_path / "f"))
