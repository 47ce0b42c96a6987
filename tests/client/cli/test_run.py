from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from flwr.common.config import parse_config_args

from client.cli import main
from client.flower.launch import (
    REFUSED,
    SUPEREXEC,
    host_and_port,
    supernode_command,
    supernode_environment,
    write_programs,
)
from client.site.membership import joined_kit
from client.site.site_folder import SiteFolder
from common.errors import ConfigError
from common.membership.kit import Kit
from common.membership.node_key import new_node_key

SETTINGS = 'name = "lyon"\ndata = "bids"\nwork = "work"\n'


@pytest.fixture
def folder(tmp_path: Path) -> SiteFolder:
    """A folder that has joined, with an empty file for the authority's certificate."""
    folder = SiteFolder(tmp_path / "a site")
    folder.kit_file.parent.mkdir(parents=True)
    folder.settings_file.write_text(SETTINGS, "utf-8")
    folder.authority_file.touch()
    kit = Kit(
        federation="ms",
        site="lyon",
        role="train",
        public_key=new_node_key(folder.key_file),
        address="fl.example.org",
        port=443,
        authority_fingerprint="SHA256:" + "A" * 43,
        requests_key="A" * 43 + "=",
        lesionfed_version="0.1.0",
        code_digest="0" * 64,
        issued="2026-01-01T00:00:00+00:00",
    )
    folder.kit_file.write_text(kit.canonical_json(), "utf-8")
    return folder


def test_run_says_that_the_folder_has_not_joined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--folder", str(tmp_path)]) == 2
    assert "has not joined a federation: no" in capsys.readouterr().err


def test_the_kit_says_where_to_connect(folder: SiteFolder) -> None:
    kit = joined_kit(folder)
    assert host_and_port(kit.address, kit.port) == "fl.example.org:443"
    assert host_and_port("::1", 443) == "[::1]:443"


def test_a_kit_of_another_site_is_refused(folder: SiteFolder) -> None:
    folder.settings_file.write_text(SETTINGS.replace("lyon", "paris"), "utf-8")
    with pytest.raises(ConfigError, match="name = 'paris', and the kit is for 'lyon'"):
        joined_kit(folder)


def test_the_key_of_another_site_is_refused(folder: SiteFolder) -> None:
    folder.key_file.unlink()
    new_node_key(folder.key_file)
    with pytest.raises(ConfigError, match=r"is for another key than .*site\.key"):
        joined_kit(folder)


def test_pause_and_unpause_mark_the_folder(folder: SiteFolder) -> None:
    assert main(["pause", "--folder", str(folder.path)]) == 0
    assert folder.paused_file.exists()
    assert main(["unpause", "--folder", str(folder.path)]) == 0
    assert main(["unpause", "--folder", str(folder.path)]) == 0
    assert not folder.paused_file.exists()


def test_a_folder_that_is_no_sites_is_not_paused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pause", "--folder", str(tmp_path)]) == 2
    assert "nothing here could be paused" in capsys.readouterr().err


def test_the_node_looks_beside_the_folders_own_settings_when_they_are_a_link(
    folder: SiteFolder, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "configuration" / "lyon.toml"
    elsewhere.parent.mkdir()
    folder.settings_file.rename(elsewhere)
    folder.settings_file.symlink_to(elsewhere)
    command = supernode_command(folder, superlink="fl.example.org:443", health_port=1)
    assert f'site="{folder.path.resolve()}/site.toml" ' in " ".join(command)


def test_a_site_that_has_left_keeps_its_key_and_does_not_run_again(
    folder: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leave", "--yes", "--folder", str(folder.path)]) == 0
    assert "lesionfed sites remove lyon" in capsys.readouterr().out
    assert folder.key_file.exists()
    assert main(["run", "--folder", str(folder.path)]) == 2
    assert "has left the federation" in capsys.readouterr().err
    assert main(["leave", "--yes", "--delete-key", "--folder", str(folder.path)]) == 0
    assert not folder.key_file.exists()


def test_leaving_asks_first(folder: SiteFolder) -> None:
    code = "import sys; from client.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "leave", "--folder", str(folder.path)],
        input="n\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "for good? [y/N]" in done.stdout
    assert not folder.left_file.exists()


def test_the_node_is_given_who_it_is_whom_to_trust_and_to_stay_on_loopback(
    folder: SiteFolder,
) -> None:
    command = supernode_command(folder, superlink="fl.example.org:443", health_port=5)
    options = dict(zip(command[6::2], command[7::2], strict=True))
    port = options.pop("--port")
    assert options == {
        "--superlink": "fl.example.org:443",
        "--root-certificates": str(folder.authority_file),
        "--auth-supernode-private-key": str(folder.key_file),
        "--node-config": f'site="{folder.settings_file}" kit="{folder.kit_file}"',
        "--host": "127.0.0.1",
        "--health-server-address": "127.0.0.1:5",
    }
    assert 1024 <= int(port) <= 65535


def test_our_programs_come_before_flowers_own(folder: SiteFolder) -> None:
    environment = supernode_environment(folder, {"PATH": "/bin", "no_proxy": "x"})
    first, *_, last = environment["PATH"].split(":")
    assert (first, last) == (str(folder.programs), "/bin")
    assert environment["no_proxy"] == "x,127.0.0.1,localhost"
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment["FLWR_HOME"] == str(folder.flwr_home)


def test_a_site_starts_no_other_program_of_flowers_than_ours(tmp_path: Path) -> None:
    from flwr.supercore.constant import TASK_TYPE_TO_COMMAND

    write_programs(tmp_path, standby_pipe=tmp_path / "pipe")
    programs = {*TASK_TYPE_TO_COMMAND.values(), SUPEREXEC}  # the last one starts the others
    assert {path.name for path in tmp_path.iterdir()} == programs
    for name in REFUSED:
        done = subprocess.run([tmp_path / name, "--token", "t"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (
            1,
            f"{name}: refused; a site runs flwr-clientapp only\n",
        )
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700


def test_our_program_is_found_from_any_folder_and_takes_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "__init__.py").write_text("raise SystemExit('foreign')", "utf-8")
    write_programs(tmp_path, standby_pipe=tmp_path / "nobody-waits-here")
    done = subprocess.run(
        [tmp_path / "flwr-clientapp", "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--runtime-api-address" in done.stdout


def test_a_kit_of_before_requests_were_signed_says_how_to_get_another(folder: SiteFolder) -> None:
    table = json.loads(folder.kit_file.read_bytes())
    del table["requests_key"]
    folder.kit_file.write_text(json.dumps(table), "utf-8")
    with pytest.raises(ConfigError, match=r"older LesionFed.*Ask the coordinator for a new kit"):
        joined_kit(folder)


def test_the_node_is_told_where_its_kit_lies(folder: SiteFolder) -> None:
    command = supernode_command(folder, superlink="a:1", health_port=1)
    config = command[command.index("--node-config") + 1]
    assert parse_config_args([config]) == {
        "site": str(folder.path.resolve() / "site.toml"),
        "kit": str(folder.path.resolve() / "kit" / "kit.json"),
    }
