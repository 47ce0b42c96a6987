"""How programs are started: Flower's in a quiet environment, each to end with who started it.

Also run as a file: `python -I -S programs.py PARENT PROGRAM ARGUMENT...`. The process asks for
SIGTERM at its parent's death (Linux: prctl, PR_SET_PDEATHSIG), then becomes the program, which
keeps that setting. So nothing is left behind by a `lesionfed serve` or a SuperNode that was killed
without a chance to end what it had started. No package of ours can be imported then.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

PR_SET_PDEATHSIG = 1

LOOPBACK = "127.0.0.1"

PROGRAMS = Path(sysconfig.get_path("scripts"))
"""Where the programs of this installation lie, Flower's among them."""

FLOWER = "1.41"
"""The version whose internals LesionFed uses; tests/test_flower_contract.py names each of them."""

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
    "PYTHONUNBUFFERED": "1",
}
"""Nothing is reported to Flower's makers, looked up or installed; a task begins within 0.1 s."""


def require_flower() -> None:
    """Nothing, or FlowerError where another Flower is installed than LesionFed was made for."""
    import importlib.metadata  # here, so that the file run by itself starts at once

    from common.errors import FlowerError  # here, since the file run by itself cannot import it

    found = importlib.metadata.version("flwr")
    if not found.startswith(f"{FLOWER}."):
        raise FlowerError(
            f"flwr {found} is installed, and LesionFed was made for {FLOWER}. Install LesionFed "
            "again from its wheel, with requirements.lock as constraints."
        )


def flower_environment(
    environment: Mapping[str, str], *, home: Path, first: Sequence[Path] = ()
) -> dict[str, str]:
    """`environment` for any of Flower's programs: quiet, and past every proxy to loopback.

    home    Flower's own files
    first   folders on PATH before this installation's programs
    """
    changed = {**environment, **QUIET, "FLWR_HOME": str(home)}
    path = [*map(str, first), str(PROGRAMS), environment.get("PATH", "")]
    changed["PATH"] = os.pathsep.join(part for part in path if part)
    for name in ("NO_PROXY", "no_proxy"):  # all these programs talk to each other only
        direct = [environment.get(name, ""), LOOPBACK, "localhost"]
        changed[name] = ",".join(part for part in direct if part)
    return changed


def replace_parts(module: ModuleType, parts: Mapping[str, object]) -> None:
    """Puts each part into Flower's module under its name.

    FlowerError where it is not the Flower that LesionFed was made for, or has no such name: a part
    under another name would be left in place without a word, and nothing may begin then.
    """
    from common.errors import FlowerError  # here, since the file run by itself cannot import it

    require_flower()
    for name, part in parts.items():
        if not hasattr(module, name):
            raise FlowerError(
                f"{module.__name__} has no {name}: this is another version of Flower than "
                "LesionFed was made for. Install the version that LesionFed names."
            )
        setattr(module, name, part)


def start_with_hidden_token(command: Sequence[str], **how: int | None) -> subprocess.Popen[bytes]:
    """The program, its `--token WORD` given as `--token-file` instead, which only it can open.

    how   as for subprocess.Popen: where output goes

    Every user of a machine reads every command line. Flower's SuperExec writes the token there with
    which the process it starts speaks for a whole run.
    """
    words = list(command)
    at = words.index("--token")
    file = os.memfd_create("token")
    try:
        os.write(file, words[at + 1].encode())
        words[at : at + 2] = ["--token-file", f"/proc/self/fd/{file}"]
        return subprocess.Popen(words, pass_fds=[file], **how)  # type: ignore[call-overload,no-any-return] # noqa: S603 - Flower's own, no shell
    finally:
        os.close(file)


HIDDEN_TOKENS = {
    "subprocess": SimpleNamespace(Popen=start_with_hidden_token, DEVNULL=subprocess.DEVNULL)
}
"""What takes the place of `subprocess` where Flower's SuperExec starts programs."""


def options(values: Mapping[str, object]) -> list[str]:
    """A command line's words for these options, each followed by its value."""
    return [str(part) for option in values.items() for part in option]


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def copy_and_empty(log_file: Path) -> Path:
    """A copy of the log beside it, for the caller to rename; the log itself is empty then.

    A process that has the log open for appending continues in the same file. What is written
    between the copy's end and the emptying, some microseconds, is lost. OSError leaves the log as
    it was.
    """
    partial = log_file.with_name(f".{log_file.name}.partial")
    try:
        with log_file.open("rb") as file, partial.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
            copy.flush()
            os.truncate(log_file, 0)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return partial


def with_parent(command: Sequence[str]) -> list[str]:
    """The command that runs `command` for as long as the calling process lives.

    The thread that starts it has to live as long: the kernel takes that one for the parent.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


if __name__ == "__main__":
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - the caller's own command, no shell
