"""A brain mask made by a program of the site's own."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from common.errors import ConfigError, GeometryError, SiteDataError
from common.imaging.brain_mask import why_no_brain
from common.imaging.orientation import upright
from common.imaging.volume import Volume, VolumeFault, read_mask, require_same_grid, write_volume

log = logging.getLogger(__name__)

N_LAST_LINES = 8
"""How much of what the program said an error shows."""
INPUT, OUTPUT = "{input}", "{output}"

_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent ends."""


def external_brain_mask(command: Sequence[str], image: Volume, *, timeout_s: float) -> Volume:
    """The brain as bool on the image's grid, from the site's own program.

    command     program and arguments, one text each; {input} and {output} stand for the paths of
                the image to read and the mask to write, both .nii.gz. Nothing passes a shell
    timeout_s   after this long the program is ended

    It runs in a temporary folder that is removed afterwards. Above 0 in its output is brain. A
    SIGTERM ends the program with all it started, and removes the folder, before it takes effect. A
    SIGKILL ends the program alone, on Linux, and leaves the folder.
    ConfigError where the command cannot be started as written; SiteDataError, with the program's
    last lines, where it fails, takes too long, or writes no usable mask.
    """
    for placeholder in (INPUT, OUTPUT):
        if not any(placeholder in argument for argument in command):
            raise ConfigError(
                f"brain mask command {list(command)}: want {placeholder} in one of its arguments, "
                f"found none. Write it as a list, such as "
                f'["my-tool", "-i", "{INPUT}", "-o", "{OUTPUT}"].'
            )
    with _tidied_on_sigterm(), TemporaryDirectory(prefix="brain-mask-") as folder:
        image_path, mask_path = Path(folder) / "image.nii.gz", Path(folder) / "mask.nii.gz"
        write_volume(image, image_path)
        filled = [
            argument.replace(INPUT, str(image_path)).replace(OUTPUT, str(mask_path))
            for argument in command
        ]
        said = _run(filled, Path(folder), timeout_s)
        return _mask_from(mask_path, image, _tool(filled), said)


def _run(filled: Sequence[str], folder: Path, timeout_s: float) -> str:
    """What the program said on its error stream; it ended well."""
    said_path = folder / "stderr.txt"  # a file, not a pipe: no grandchild can hold it open
    try:
        with said_path.open("wb") as said:
            program = subprocess.Popen(  # noqa: S603 # the command is the site's own, from site.toml
                filled,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,  # so that what it started can be ended with it
                preexec_fn=_end_with_parent,  # one system call, no lock is taken
            )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{_tool(filled)} cannot be started: {error}. Check its name in site.toml, and that "
            "this user may run it."
        ) from None
    try:
        code = program.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise SiteDataError(
            f"{_tool(filled)} took longer than {timeout_s:g} s and was ended. Allow it more time, "
            f"or try it by hand on one image.{_last_lines(said_path)}"
        ) from None
    finally:
        _end(program)
    if code != 0:
        raise SiteDataError(
            f"{_tool(filled)} ended with exit code {code}, want 0. Try it by hand on "
            f"one image.{_last_lines(said_path)}"
        )
    log.debug("brain mask program ended well", extra={"program": filled[0]})
    return _last_lines(said_path)


def _end_with_parent() -> None:
    """In the program's process before it begins: a parent that is killed takes it along."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Terminated(BaseException):
    """A SIGTERM on its way out."""


@contextlib.contextmanager
def _tidied_on_sigterm() -> Iterator[None]:
    """Lets the `finally` inside run before a SIGTERM takes effect.

    In the main thread only, as Python has no other place for signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one does not stop the tidying
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop) or signal.SIG_DFL
    try:
        yield
    except _Terminated:
        signal.signal(signal.SIGTERM, before)
        os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit(128 + signal.SIGTERM) from None  # where the handler before lives on
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(program: subprocess.Popen[bytes]) -> None:
    """Ends `program` and what it started, if any of it still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def _mask_from(path: Path, image: Volume, tool: str, said: str) -> Volume:
    """The mask the program wrote, checked against the image."""
    if not path.exists():
        raise SiteDataError(
            f"{tool} ended well but wrote no mask to {OUTPUT}. Check that it takes the whole file "
            f"name, with .nii.gz, and adds no ending of its own.{said}"
        )
    try:
        mask = upright(read_mask(path))  # a tool may store it in an order of its own
        require_same_grid(mask, image, a_name="its mask", b_name="the image")
    except VolumeFault as fault:
        raise SiteDataError(
            f"{tool} wrote a mask that cannot be used: {fault.what}. It must be 0 outside the "
            f"brain and a whole number inside.{said}"
        ) from None
    except GeometryError as error:
        raise SiteDataError(f"{tool} wrote a mask on another grid: {error}{said}") from None
    if not mask.data.any():
        raise SiteDataError(f"{tool} wrote a mask without a voxel. Try it by hand.{said}")
    if mask.data.all():
        raise SiteDataError(
            f"{tool} wrote a mask that is not 0 anywhere: want the mask, not the image. Choose the "
            f"tool's option for a binary mask.{said}"
        )
    if (wrong := why_no_brain(mask.data)) is not None:
        raise SiteDataError(f"{tool} wrote a mask that {wrong}. Try it by hand.{said}")
    return Volume(mask.data.astype(np.bool_), image.affine)


def _tool(filled: Sequence[str]) -> str:
    return f"brain mask program {filled[0]!r}"


def _last_lines(said_path: Path) -> str:
    """The end of the error stream as the end of an error, or nothing."""
    try:
        lines = said_path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    last = [line for line in lines if line.strip()][-N_LAST_LINES:]
    return "\n".join(["\nIt said:", *(f"  {line}" for line in last)]) if last else ""
