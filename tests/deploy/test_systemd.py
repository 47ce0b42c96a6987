"""The units are what systemd takes, and leave little to a process that goes wrong."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
NAMES = ("lesionfed-coordinator", "lesionfed-site", "lesionfed-proxy")
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze on this machine")

BOUND = 2.0
"""systemd's own scale of exposure: 0 (closed) to 10; a unit without any hardening has 9.6."""


class OneOfMany(dict[str, str]):
    """A section in which the same key may stand several times: the values, a line each."""

    def __setitem__(self, key: str, value: object) -> None:
        if isinstance(value, list) and key in self and isinstance(self[key], list):
            value = [*self[key], *value]
        super().__setitem__(key, value)  # type: ignore[assignment]  # lists until parsing ends


def unit(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, dict_type=OneOfMany)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd minds the case
    parser.read(UNITS / f"{name}.service", encoding="utf-8")
    return parser


def with_programs_of_this_machine(name: str, folder: Path) -> Path:
    """A copy whose programs exist here: `verify` looks whether they do."""
    text = (UNITS / f"{name}.service").read_text("utf-8")
    text = re.sub(r"(?m)^(Exec\w+=)\S+", rf"\1{shutil.which('true')}", text)
    copy = folder / f"{name}.service"
    copy.write_text(text, encoding="utf-8")
    return copy


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run(
        [ANALYZE, "--no-pager", *arguments], capture_output=True, text=True, check=False
    )


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_no_fault_in_a_unit(name: str, tmp_path: Path) -> None:
    done = analyze("verify", str(with_programs_of_this_machine(name, tmp_path)))
    complaints = [line for line in done.stderr.splitlines() if "lesionfed" in line]
    assert (done.returncode, complaints) == (0, [])


@needs_systemd
@pytest.mark.parametrize("drop_in", ["gpu.conf", "egress.conf"])
def test_systemd_finds_no_fault_in_the_site_with_a_drop_in(drop_in: str, tmp_path: Path) -> None:
    copy = with_programs_of_this_machine("lesionfed-site", tmp_path)
    folder = tmp_path / "lesionfed-site.service.d"
    folder.mkdir()
    shutil.copy(UNITS / drop_in, folder)
    done = analyze("verify", str(copy))
    complaints = [line for line in done.stderr.splitlines() if "lesionfed" in line]
    assert (done.returncode, complaints) == (0, [])


@needs_systemd
def test_the_check_would_notice_a_misspelled_setting(tmp_path: Path) -> None:
    copy = with_programs_of_this_machine("lesionfed-site", tmp_path)
    copy.write_text(copy.read_text("utf-8").replace("ProtectHome=", "ProtectHmoe="), "utf-8")
    assert "ProtectHmoe" in analyze("verify", str(copy)).stderr


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_a_unit_is_little_exposed(name: str, tmp_path: Path) -> None:
    copy = with_programs_of_this_machine(name, tmp_path)
    done = analyze(
        "security", "--offline=true", f"--threshold={round(10 * BOUND)}", str(copy)
    )  # its threshold is in tenths
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= BOUND
    assert done.returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_runs_as_a_user_of_its_own_who_can_gain_nothing(name: str) -> None:
    service = unit(name)["Service"]
    assert service["User"] == "lesionfed"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert service["ProtectSystem"] == "strict"
    assert service["ProtectHome"] == "yes"
    assert service["LimitCORE"] == "0"


@pytest.mark.parametrize(
    ("name", "writable"),
    [
        ("lesionfed-coordinator", "/srv/lesionfed/federation"),
        ("lesionfed-site", "/srv/lesionfed/site /srv/lesionfed/work"),
        ("lesionfed-proxy", "/srv/lesionfed/federation/proxy"),
    ],
)
def test_a_unit_writes_to_its_own_folders_alone(name: str, writable: str) -> None:
    assert unit(name)["Service"]["ReadWritePaths"] == writable


def test_a_site_s_images_are_read_only_to_its_node() -> None:
    assert unit("lesionfed-site")["Service"]["ReadOnlyPaths"] == "/srv/lesionfed/data"


def test_a_killed_node_comes_back_after_the_server_has_forgotten_it() -> None:
    """Flower takes a killed node for alive, and refuses the new one, for 53 s."""
    service = unit("lesionfed-site")["Service"]
    assert service["Restart"] == "always"
    assert int(service["RestartSec"]) >= 54


def test_a_site_that_has_left_is_not_started_again() -> None:
    assert unit("lesionfed-site")["Unit"]["ConditionPathExists"] == "!/srv/lesionfed/site/left"


@pytest.mark.parametrize("name", ["lesionfed-coordinator", "lesionfed-site"])
def test_what_runs_torch_may_write_the_code_that_it_runs(name: str) -> None:
    """With MemoryDenyWriteExecute a convolution fails: "could not create a primitive"."""
    assert "MemoryDenyWriteExecute" not in unit(name)["Service"]


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_leaves_memory_to_the_rest_of_the_machine(name: str) -> None:
    assert unit(name)["Service"]["MemoryMax"] in ("80%", "1G")


def test_a_site_reaches_nobody_but_whom_its_drop_in_names() -> None:
    service = unit("lesionfed-site")["Service"]
    assert service["IPAddressDeny"] == "any"
    assert service["IPAddressAllow"] == "localhost"
    drop_in = (UNITS / "egress.conf").read_text("utf-8")
    assert re.findall(r"(?m)^(IPAddress\w+)=", drop_in) == ["IPAddressAllow"] * 2


@pytest.mark.parametrize("secret", ["ca.key", "superexec-secret", "requests.key"])
def test_nginx_never_sees_a_key_that_it_does_not_need(secret: str) -> None:
    hidden = unit("lesionfed-proxy")["Service"]["InaccessiblePaths"]
    assert f"-/srv/lesionfed/federation/credentials/{secret}" in hidden
