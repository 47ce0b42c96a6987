"""Whatever lies in a site's folder, `lesionfed-site check` says what it found and ends with 0 or 1.

A share of 5,000 sites runs by default; `make fuzz-sites` runs all of them.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from client.cli import main
from tests.mutated_sites import mutated_site

N_SITES = int(os.environ.get("LESIONFED_FUZZ_SITES", "60"))
FIRST = int(os.environ.get("LESIONFED_FUZZ_FIRST", "0"))
IN_A_BLOCK = 20
HANGS_S = 60


class Hangs(BaseException):
    """No Exception, so that nothing catches it."""


def options(seed: int, page: Path) -> list[str]:
    """Text, JSON and the page by turns; as input of `prepare`, and for new lesions, too."""
    chosen = [] if seed % 2 else ["--json"]
    chosen += ["--quiet"] if seed % 3 else []
    chosen += ["--raw"] if seed % 5 in (0, 1) else []
    chosen += ["--html", str(page)] if seed % 10 == 0 else []
    chosen += ["--target", "new-lesions", "--raters", "2"] if seed % 7 == 0 else []
    return chosen


@contextmanager
def limited() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hangs

    old = signal.signal(signal.SIGALRM, ring)
    signal.alarm(HANGS_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


def checked(folder: Path, chosen: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit code and what was printed, by a terminal that knows nothing but UTF-8."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    with monkeypatch.context() as patch, limited():
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", said)
        code = main(["check", str(folder), *chosen])
        out.flush()
        said.flush()
    assert isinstance(out.buffer, io.BytesIO)
    return code, out.buffer.getvalue().decode()


@pytest.mark.parametrize("block", range(-(-N_SITES // IN_A_BLOCK)))
def test_every_mutated_site_is_checked_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    wrong = []
    for seed in range(FIRST + IN_A_BLOCK * block, FIRST + min(N_SITES, IN_A_BLOCK * (block + 1))):
        folder, page = tmp_path / f"site-{seed}", tmp_path / f"{seed}.html"
        mutations = mutated_site(folder, seed)
        chosen = options(seed, page)
        try:
            code, printed = checked(folder, chosen, monkeypatch)
            assert code in (0, 1), f"exit code {code}"
            if "--json" in chosen and printed:
                assert json.loads(printed)["findings"] is not None
            if "--html" in chosen and code == 0:
                assert page.read_text(encoding="utf-8").endswith("</html>")
        except (Exception, SystemExit, Hangs) as error:
            wrong.append(f"seed {seed} {chosen}: {type(error).__name__}: {error}; {mutations}")
        finally:
            _opened_up(folder)
            shutil.rmtree(folder)
    assert not wrong, "\n".join(wrong)


def _opened_up(folder: Path) -> None:
    """So that what may not be read can be removed."""
    folder.chmod(0o755)
    for inner in folder.rglob("*"):
        if inner.is_dir() and not inner.is_symlink():
            inner.chmod(0o755)
