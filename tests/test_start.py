"""Both commands start, or say what Python finds in the place of our packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lesionfed

ROOT = Path(__file__).parents[1]
CODE = "import os, sys, lesionfed; code = lesionfed.{}(); {}; sys.exit(code)"


def start(
    entry: str, *words: str, then: str = "pass", **variables: str
) -> subprocess.CompletedProcess[str]:
    names = ("PYTHONPATH", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {key: text for key, text in os.environ.items() if key not in names}
    path = os.pathsep.join(filter(None, [variables.pop("PYTHONPATH", ""), str(ROOT)]))
    command = [sys.executable, "-P", "-c", CODE.format(entry, then), *words]
    return subprocess.run(
        command,
        env=environment | variables | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("entry", ["coordinator", "site"])
@pytest.mark.parametrize("package", ["common", "client", "server"])
@pytest.mark.parametrize("form", ["package", "module"])
def test_another_package_of_the_name_of_one_of_ours_is_named_before_anything_else(
    tmp_path: Path, entry: str, package: str, form: str
) -> None:
    file = tmp_path / (f"{package}/__init__.py" if form == "package" else f"{package}.py")
    file.parent.mkdir(exist_ok=True)
    file.write_text("raise RuntimeError('never imported')")
    done = start(entry, "preflight", "--help", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert (
        f"package '{package}': want LesionFed's own in {ROOT}, Python finds {file}." in done.stderr
    )
    assert f"Start the command without PYTHONPATH (now {tmp_path}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("entry", ["coordinator", "site"])
def test_a_folder_of_that_name_without_code_is_in_nobody_s_way(tmp_path: Path, entry: str) -> None:
    (tmp_path / "common").mkdir()
    done = start(entry, "--help", PYTHONPATH=str(tmp_path))
    assert (done.returncode, "Usage" in done.stdout) == (0, True)


def test_threads_wait_as_the_record_says_unless_the_user_has_said_how() -> None:
    shown = "print('|', os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'))"
    assert f"| {lesionfed.SPINS} None" in start("site", "--help", then=shown).stdout
    chosen = start("site", "--help", then=shown, OMP_WAIT_POLICY="ACTIVE")
    assert "| None ACTIVE" in chosen.stdout
    assert "| 7 None" in start("site", "--help", then=shown, GOMP_SPINCOUNT="7").stdout


def test_torch_is_not_there_before_the_threads_know_how_to_wait() -> None:
    done = start("coordinator", "--help", then="print('torch' in sys.modules)")
    assert done.stdout.rstrip().endswith("False")


def test_what_is_in_the_way_cannot_move_the_cursor_of_a_terminal(tmp_path: Path) -> None:
    other = tmp_path / "a\x1b[2Jb" / "common" / "__init__.py"
    other.parent.mkdir(parents=True)
    other.touch()
    done = start("site", "check", PYTHONPATH=str(other.parents[1]))
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert r"a\x1b[2Jb" in done.stderr
