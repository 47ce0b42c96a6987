"""One image for both roles and one for clusters: no build tools left in it, run without root."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.waiting import LIMIT_S, wait_until

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
DEFINITION = (ROOT / "deploy" / "apptainer" / "lesionfed-site.def").read_text("utf-8")
BATCH = ROOT / "deploy" / "apptainer" / "lesionfed-site.sbatch"


def stages() -> list[str]:
    return re.split(r"(?m)^FROM ", DOCKERFILE)[1:]


def test_the_image_runs_as_user_10001() -> None:
    [*_, last] = re.findall(r"(?m)^USER (\S+)", stages()[-1])
    assert last == "10001:10001"


def test_nothing_is_installed_in_the_stage_that_is_shipped() -> None:
    build, final = stages()
    assert "pip" in build
    assert re.findall(r"\b(pip|apt-get|apk|gcc|curl)\b", final) == []


def test_the_lock_comes_before_the_code_so_that_a_change_of_code_installs_nothing_again() -> None:
    build = stages()[0]
    assert build.index("--requirement requirements.lock") < build.index("COPY common")
    assert "--no-deps /wheels" in build


def test_every_file_that_the_image_takes_is_here_and_let_through() -> None:
    let_through = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    copied = [
        source
        for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", DOCKERFILE)
        for source in line.split()[:-1]
    ]
    assert len(copied) == 10
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in let_through
    assert let_through[1] == "*"


def test_no_secret_and_no_data_is_let_through_to_the_builder() -> None:
    lines = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert {line for line in lines if line.startswith("!")} == {
        "!requirements.lock",
        "!requirements-cuda.lock",
        "!pyproject.toml",
        "!README.md",
        "!LICENSE",
        "!lesionfed.py",
        "!common",
        "!client",
        "!server",
        "!deploy/health.py",
    }


def test_flower_tells_nobody_and_installs_nothing_in_either_image() -> None:
    for text in (DOCKERFILE, DEFINITION):
        for setting in (
            "FLWR_TELEMETRY_ENABLED=0",
            "FLWR_DISABLE_UPDATE_CHECK=1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1",
        ):
            assert setting in text


@pytest.mark.parametrize(
    "section",
    ["%arguments", "%files", "%post", "%environment", "%runscript", "%test", "%labels", "%help"],
)
def test_the_apptainer_definition_has_each_section(section: str) -> None:
    assert re.search(rf"(?m)^{section}\b", DEFINITION)


def test_the_apptainer_definition_has_two_stages_and_takes_files_that_are_here() -> None:
    assert re.findall(r"(?m)^Stage: (\w+)$", DEFINITION) == ["build", "final"]
    taken = re.findall(r"(?m)^    (\S+) /source/\S+$", DEFINITION)
    assert len(taken) == 8
    for source in taken:
        assert (ROOT / source).exists(), source


def test_bash_takes_the_batch_job() -> None:
    done = subprocess.run(["bash", "-n", str(BATCH)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_batch_job_binds_the_images_read_only() -> None:
    assert '--bind "$DATA:/data:ro"' in BATCH.read_text("utf-8")


def batch_job(place: Path, *, node: str) -> subprocess.Popen[bytes]:
    """The batch job with `node` in place of the site's, and Slurm's answers in `place`/queued."""
    programs = place / "bin"
    programs.mkdir()
    for name, body in {"apptainer": node, "scontrol": f'echo "$@" >> {place}/queued'}.items():
        (programs / name).write_text(f"#!/bin/bash\n{body}\n", "utf-8")
        (programs / name).chmod(0o700)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(place),
        "SLURM_JOB_ID": "42",
    }
    return subprocess.Popen(["bash", str(BATCH)], env=environment)


def queued(place: Path) -> list[str]:
    file = place / "queued"
    return file.read_text("utf-8").splitlines() if file.exists() else []


@pytest.mark.parametrize(
    ("node", "code", "again"),
    [
        pytest.param("exit 0", 0, False, id="the site has left"),
        pytest.param("exit 1", 1, False, id="another start would not help"),
        pytest.param("exit 2", 2, False, id="the folder has not joined"),
        pytest.param("exit 255", 255, False, id="apptainer itself failed"),
        pytest.param("kill -KILL $$", 137, True, id="killed for memory"),
        pytest.param("kill -SEGV $$", 139, True, id="crashed"),
        pytest.param("exit 137", 137, True, id="killed inside the container"),
    ],
)
def test_the_batch_job_queues_itself_again_where_the_node_was_killed_and_not_where_it_ended(
    tmp_path: Path, node: str, code: int, again: bool
) -> None:
    assert batch_job(tmp_path, node=node).wait(LIMIT_S) == code
    assert queued(tmp_path) == ["requeue 42"] * again


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal."""
    [mask] = re.findall(r"(?m)^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text("utf-8"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("node_code", [0, 137])
def test_the_batch_job_whose_time_is_up_signs_off_and_is_queued_once(
    tmp_path: Path, node_code: int
) -> None:
    signs_off = (
        f"trap 'echo signed-off >> {tmp_path}/queued; exit {node_code}' TERM\n"
        f"touch {tmp_path}/ready; for _ in {{1..3000}}; do sleep 0.1; done"
    )
    job = batch_job(tmp_path, node=signs_off)
    wait_until((tmp_path / "ready").exists, "the node")
    wait_until(lambda: catches(job.pid, signal.SIGTERM), "the batch job to take its end up")
    job.send_signal(signal.SIGTERM)
    assert job.wait(LIMIT_S) == 0
    assert queued(tmp_path) == ["signed-off", "requeue 42"]


def test_the_batch_job_shares_its_machine_with_nobody() -> None:
    assert re.search(r"(?m)^#SBATCH --exclusive$", BATCH.read_text("utf-8"))
