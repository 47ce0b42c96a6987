"""One image for both roles and one for clusters: no build tools left in it, run without root."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

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
    assert len(copied) == 8
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in let_through
    assert let_through[1] == "*"


def test_no_secret_and_no_data_is_let_through_to_the_builder() -> None:
    lines = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert {line for line in lines if line.startswith("!")} == {
        "!requirements.lock",
        "!pyproject.toml",
        "!README.md",
        "!LICENSE",
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
    assert len(taken) == 7
    for source in taken:
        assert (ROOT / source).exists(), source


def test_bash_takes_the_batch_job() -> None:
    done = subprocess.run(["bash", "-n", str(BATCH)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_batch_job_binds_the_images_read_only() -> None:
    assert '--bind "$DATA:/data:ro"' in BATCH.read_text("utf-8")
