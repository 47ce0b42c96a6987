"""A federation's folder is laid out whole, once, and its secrets are its owner's."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.membership.certificate import certificate_fingerprint
from server.federation import provision as federation_room
from server.federation.federation_folder import FederationSettings
from server.federation.provision import provision, rotate_certificate
from tests.consortia import SETTINGS, federation, let_authority_expire


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_lies_in_the_folder(tmp_path: Path) -> None:
    made = federation(tmp_path)
    assert sorted(path.name for path in made.path.iterdir()) == [
        "credentials",
        "federation.toml",
        "flwr-home",
        "kits",
        "logs",
        "members.json",
        "proxy",
        "runs",
    ]
    assert made.settings().name == "ms-north"
    assert made.members().members == ()
    assert len(made.executor_secret_file.read_bytes()) == 32
    table = tomllib.loads((made.flwr_home / "config.toml").read_text("utf-8"))
    assert table["superlink"]["federation"] == {
        "address": "127.0.0.1:1",
        "root-certificates": str(made.authority_file.resolve()),
    }


def test_secrets_are_their_owners(tmp_path: Path) -> None:
    made = federation(tmp_path)
    secrets = (
        made.authority_key_file,
        made.certificate_key_file,
        made.executor_secret_file,
        made.requests_key_file,
    )
    assert [mode(path) for path in secrets] == [0o600] * 4
    assert mode(made.authority_file.parent) == 0o700
    assert mode(made.path) == 0o700


def test_a_folder_that_holds_a_federation_is_refused(tmp_path: Path) -> None:
    made = federation(tmp_path)
    before = made.authority_file.read_bytes()
    with pytest.raises(ConfigError, match="a federation was provisioned here already"):
        provision(tmp_path / "consortium.toml", made.path)
    assert made.authority_file.read_bytes() == before


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "consortium.toml").write_text(SETTINGS.format(port=1, superlink_port=2), "utf-8")
    with pytest.raises(ConfigError, match="this one holds other files"):
        provision(tmp_path / "consortium.toml", tmp_path)
    with pytest.raises(ConfigError, match="this is a file"):
        provision(tmp_path / "consortium.toml", tmp_path / "consortium.toml")


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "federation").mkdir()
    assert federation(tmp_path).settings_file.is_file()


def test_settings_that_cannot_be_used_leave_nothing(tmp_path: Path) -> None:
    file = tmp_path / "consortium.toml"
    file.write_text(SETTINGS.format(port=1, superlink_port=2) + 'colour = "red"\n', "utf-8")
    with pytest.raises(ConfigError, match="colour: unknown key"):
        provision(file, tmp_path / "federation")
    bad_address = SETTINGS.format(port=1, superlink_port=2).replace("lesionfed.", "https://")
    file.write_text(bad_address, "utf-8")
    with pytest.raises(ConfigError, match="want a host name or an IP address alone"):
        provision(file, tmp_path / "federation")
    assert [path.name for path in tmp_path.iterdir()] == ["consortium.toml"]


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(federation_room, "write_members", full)
    with pytest.raises(OSError, match="No space left"):
        federation(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["consortium.toml"]


def test_rotation_changes_the_servers_certificate_and_not_the_authority(tmp_path: Path) -> None:
    made = federation(tmp_path)
    authority = made.authority_file.read_bytes()
    before = certificate_fingerprint(made.certificate_file.read_bytes())
    key = made.certificate_key_file.read_bytes()
    rotate_certificate(made)
    assert made.authority_file.read_bytes() == authority
    assert certificate_fingerprint(made.certificate_file.read_bytes()) != before
    assert made.certificate_key_file.read_bytes() != key
    assert mode(made.certificate_key_file) == 0o600


def test_rotation_with_an_expired_authority_is_refused(tmp_path: Path) -> None:
    made = federation(tmp_path)
    let_authority_expire(made)
    with pytest.raises(ConfigError, match=r"authority expired on .* provision again"):
        rotate_certificate(made)


def test_rotation_without_the_authoritys_key_says_so(tmp_path: Path) -> None:
    made = federation(tmp_path)
    made.authority_key_file.unlink()
    with pytest.raises(ConfigError, match=r"ca\.key: no such file\. Restore the authority"):
        rotate_certificate(made)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"port": 18000}, "port and superlink_port are both 18000"),
        ({"health_port": 8443}, "port and health_port are both 8443"),
        ({"superlink_port": 7, "health_port": 7}, "superlink_port and health_port are both 7"),
    ],
)
def test_two_programs_are_never_given_one_port(changed: dict[str, int], said: str) -> None:
    table = {"name": "ms", "address": "127.0.0.1", "sites": [{"name": "lyon"}], **changed}
    with pytest.raises(ConfigError, match=said):
        FederationSettings.from_table(table, where="federation.toml")


def test_a_host_with_an_underscore_is_told_that_this_is_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "consortium.toml"
    text = SETTINGS.format(port=8443, superlink_port=1)
    file.write_text(text.replace("lesionfed.example", "lesion_fed.example"))
    with pytest.raises(ConfigError, match=r"holds no underscore .*lesion-fed\.example\.org"):
        provision(file, tmp_path / "federation")
