from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError, SiteDataError
from common.imaging.preprocessing.external_brain_mask import external_brain_mask
from tests.volumes import SHAPE, head_in_noise
from tests.waiting import LIMIT_S, is_running, wait_until

THRESHOLD = """
import sys, nibabel, numpy
image = nibabel.load(sys.argv[1])
mask = (image.get_fdata() >= 50).astype(numpy.uint8)
nibabel.save(nibabel.Nifti1Image(mask, image.affine), sys.argv[2])
"""
MOVED = THRESHOLD.replace("image.affine)", "image.affine + numpy.eye(4, k=3))")
EMPTY = THRESHOLD.replace(">= 50", ">= 1e9")
FULL = THRESHOLD.replace(">= 50", ">= -1")
PROBABILITY = THRESHOLD.replace("mask =", "mask = 0.5 *").replace(
    "image.get_fdata() >= 50).astype(numpy.uint8)", "image.get_fdata() >= 50)"
)
FAILING = """
import sys
for n in range(20): print(f"line {n}", file=sys.stderr)
sys.exit(3)
"""
SLEEPING = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({said!r} + ".part", "w").write(f"{{os.getpid()}} {{child.pid}}")
os.rename({said!r} + ".part", {said!r})
time.sleep(600)
"""


def tool(folder: Path, program: str) -> list[str]:
    """The command that runs `program` as a site's own tool."""
    path = folder / "tool.py"
    path.write_text(program)
    return [sys.executable, str(path), "{input}", "{output}"]


def test_the_mask_is_what_the_program_wrote_as_bool_on_the_images_grid(tmp_path: Path) -> None:
    image = head_in_noise()
    mask = external_brain_mask(tool(tmp_path, THRESHOLD), image, timeout_s=60)
    assert mask.data.dtype == np.bool_
    np.testing.assert_array_equal(mask.data, image.data >= 50)
    np.testing.assert_array_equal(mask.affine, image.affine)


def test_placeholders_may_stand_within_an_argument(tmp_path: Path) -> None:
    program = THRESHOLD.replace("sys.argv[1]", "sys.argv[1][5:]").replace(
        "sys.argv[2]", "sys.argv[2][6:]"
    )
    command = [*tool(tmp_path, program)[:2], "--in={input}", "--out={output}"]
    assert external_brain_mask(command, head_in_noise(), timeout_s=60).data.any()


def test_nothing_passes_a_shell(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    command = [*tool(tmp_path, THRESHOLD), f"; touch {touched}"]
    external_brain_mask(command, head_in_noise(), timeout_s=60)
    assert not touched.exists()


def test_a_failure_shows_the_exit_code_and_the_last_lines_only(tmp_path: Path) -> None:
    with pytest.raises(SiteDataError, match=r"exit code 3(.|\n)*line 12\n(.|\n)*line 19") as caught:
        external_brain_mask(tool(tmp_path, FAILING), head_in_noise(), timeout_s=60)
    assert "line 11" not in str(caught.value)  # the last 8 of 20 lines: 12 to 19


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    said = tmp_path / "said"
    program = tool(tmp_path, SLEEPING.format(said=str(said)))
    for timeout_s in (0.5, 5.0, 50.0):  # until it has started its child, however slow the machine
        start = time.monotonic()
        with pytest.raises(SiteDataError, match=rf"longer than {timeout_s:g} s"):
            external_brain_mask(program, head_in_noise(), timeout_s=timeout_s)
        assert time.monotonic() - start < 300  # it would sleep for 600
        if said.exists():
            break
    ids = [int(word) for word in said.read_text().split()]
    assert len(ids) == 2
    wait_until(lambda: not any(map(is_running, ids)), "the end of both")


@pytest.mark.parametrize(
    ("program", "found"),
    [
        pytest.param("", "wrote no mask", id="no output"),
        pytest.param(MOVED, "another grid", id="1 mm beside the image"),
        pytest.param(EMPTY, "without a voxel", id="nothing in it"),
        pytest.param(FULL, "not 0 anywhere", id="everything in it"),
        pytest.param(PROBABILITY, "fractions", id="0.5 inside"),
        pytest.param("import sys; open(sys.argv[2], 'w')", "cannot be used", id="an empty file"),
    ],
)
def test_an_output_that_is_no_mask_of_the_image_is_refused(
    tmp_path: Path, program: str, found: str
) -> None:
    with pytest.raises(SiteDataError, match=found):
        external_brain_mask(tool(tmp_path, program), head_in_noise(), timeout_s=60)


def test_a_command_without_a_placeholder_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"want \{output\} in one of its arguments"):
        external_brain_mask(["my-tool", "{input}"], head_in_noise(), timeout_s=60)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'no-such-tool' cannot be started"):
        external_brain_mask(
            ["no-such-tool", "{input}", "{output}"], head_in_noise(shape=SHAPE), timeout_s=60
        )


CALLING = """
import sys
from common.imaging.preprocessing.external_brain_mask import external_brain_mask
from tests.volumes import head_in_noise
external_brain_mask(sys.argv[1:], head_in_noise(), timeout_s=500)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no signal for it")
@pytest.mark.parametrize(("stop", "n_ended"), [(signal.SIGTERM, 2), (signal.SIGKILL, 1)])
def test_the_program_does_not_outlive_the_process_that_called_it(
    tmp_path: Path, stop: signal.Signals, n_ended: int
) -> None:
    """SIGTERM ends the program and its child and removes the folder; SIGKILL the program alone."""
    said, scratch = tmp_path / "said", tmp_path / "scratch"
    scratch.mkdir()
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLING, *tool(tmp_path, SLEEPING.format(said=str(said)))],
        cwd=Path(__file__).parents[4],
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    wait_until(said.exists, "the program")
    ids = [int(word) for word in said.read_text().split()]
    caller.send_signal(stop)
    try:
        assert caller.wait(LIMIT_S) == -stop
        wait_until(lambda: not any(map(is_running, ids[:n_ended])), "what it called to end")
        assert stop == signal.SIGKILL or list(scratch.iterdir()) == []
    finally:
        for number in filter(is_running, ids):
            os.kill(number, signal.SIGKILL)
