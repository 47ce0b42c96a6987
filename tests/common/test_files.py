"""A file is whole, a secret is its owner's alone, and a lock has one holder."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from common.errors import ConfigError, LesionFedError
from common.files import SECRET, is_locked, locked, owner_only, require_utf8, write_whole

BUSY = ConfigError("somebody else is at work")


def test_a_secret_is_its_owners_even_where_the_old_file_was_not(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_whole(path, b"new", mode=SECRET)
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
    write_whole(tmp_path / "secret", b"new", mode=SECRET)
    assert modes == [0o600]


def test_a_failure_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "secret", b"new", mode=SECRET)
    assert (tmp_path / "secret").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_file_that_is_no_secret_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "page", b"new")
        with owner_only():
            write_whole(tmp_path / "own", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "page").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o600


def test_a_lock_has_one_holder_and_everyone_sees_whether_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    assert not path.exists()  # who only looks makes no file
    with locked(path):
        assert is_locked(path)
        with pytest.raises(ConfigError, match="somebody else is at work"), locked(path, busy=BUSY):
            pass
    assert not is_locked(path)
    with locked(path, busy=BUSY):
        assert is_locked(path)


def test_a_lock_that_is_held_for_an_instant_only_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    free = threading.Event()

    def hold() -> None:
        with locked(path):
            began.set()
            free.wait()

    began = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    began.wait()
    threading.Timer(0.1, free.set).start()
    with locked(path, busy=BUSY, wait_s=60.0):
        assert is_locked(path)
    holder.join()


def test_who_names_no_error_waits_for_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    order = []

    def second() -> None:
        with locked(path):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(path):
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_locked_file_is_to_read_and_append_to_and_keeps_what_it_held(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(b"one\n")
    with locked(path) as file:
        file.seek(0)
        assert file.read() == b"one\n"
        file.write(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom common.files import locked\n"
        "with locked(Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -9
    assert path.exists()
    assert not is_locked(path)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_with_the_file_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def unsupported(file: object, how: int) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "lock"
    path.touch()
    monkeypatch.setattr(fcntl, "flock", unsupported)
    said = rf"{path}: the file system here \(.+\) has no file locks: .+\. Put the folder on a local"
    for work in (
        lambda: locked(path).__enter__(),
        lambda: locked(path, busy=BUSY).__enter__(),
        lambda: is_locked(path),
    ):
        with pytest.raises(LesionFedError, match=said) as refused:
            work()
        assert refused.value.code == "no-file-locks"
        assert refused.value is not BUSY


def test_a_path_that_no_file_of_settings_can_hold_is_refused(tmp_path: Path) -> None:
    require_utf8(tmp_path / "Zoë", what="--out")
    with pytest.raises(ConfigError, match=r"--out M\\xfcller: want a path in UTF-8"):
        require_utf8(Path("M\udcfcller"), what="--out")
