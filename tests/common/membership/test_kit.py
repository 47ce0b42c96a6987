"""A kit opens only as the authority in it signed it, and nothing huge or foreign is read."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from common.errors import ConfigError, WireError
from common.membership.certificate import certificate_fingerprint
from common.membership.kit import Kit, read_kit, write_kit
from common.membership.node_key import new_node_key
from server.federation.authority import new_authority

NOW = datetime.now(UTC)


def write(folder: Path, *, made: datetime = NOW) -> Path:
    """A kit of site alpha, its authority's key beside it."""
    authority = new_authority("ms-north", now=made)
    (folder / "ca.key").write_bytes(authority.key)
    kit = Kit(
        federation="ms-north",
        site="alpha",
        role="train",
        public_key=new_node_key(folder / "site.key"),
        address="lesionfed.example.org",
        port=8443,
        authority_fingerprint=certificate_fingerprint(authority.certificate),
        requests_key="A" * 43 + "=",
        lesionfed_version="0.1.0",
        code_digest="0" * 64,
        issued="2026-03-01T12:00:00+00:00",
    )
    path = folder / "alpha.zip"
    write_kit(path, kit, authority_pem=authority.certificate, authority_key_file=folder / "ca.key")
    return path


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, members: dict[str, bytes], *, packed: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_a_kit_says_what_was_written_and_whom_to_trust(tmp_path: Path) -> None:
    path = write(tmp_path)
    kit, authority_pem = read_kit(path)
    assert (kit.site, kit.address, kit.port) == ("alpha", "lesionfed.example.org", 8443)
    assert kit.authority_fingerprint == certificate_fingerprint(authority_pem)
    assert all(b"PRIVATE" not in content for content in members_of(path).values())


def test_a_changed_kit_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    members = members_of(path)
    table = json.loads(members["kit.json"])
    members["kit.json"] = json.dumps({**table, "address": "evil.example.org"}).encode()
    rewrite(path, members)
    with pytest.raises(WireError, match="the authority's signature does not fit"):
        read_kit(path)


def test_a_kit_of_before_requests_were_signed_says_what_to_ask_for(tmp_path: Path) -> None:
    path = write(tmp_path)
    members = members_of(path)
    table = json.loads(members["kit.json"])
    del table["requests_key"]
    members["kit.json"] = json.dumps(table).encode()
    rewrite(path, members)
    with pytest.raises(WireError, match=r"kit of an older .* Ask the coordinator for a new kit"):
        read_kit(path)


def test_another_authority_in_the_kit_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    other = new_authority("ms-north", now=NOW)
    rewrite(path, {**members_of(path), "ca.pem": other.certificate})
    with pytest.raises(WireError, match="the authority's signature does not fit"):
        read_kit(path)


def test_a_kit_that_names_another_authority_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    kit, authority_pem = read_kit(path)
    lying = kit.model_copy(update={"authority_fingerprint": "SHA256:" + "A" * 43})
    write_kit(path, lying, authority_pem=authority_pem, authority_key_file=tmp_path / "ca.key")
    with pytest.raises(WireError, match="the authority's signature does not fit"):
        read_kit(path)


@pytest.mark.parametrize("cut", [0, 10, 400, -30])
def test_half_a_kit_is_refused(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(WireError, match="not a whole zip"):
        read_kit(path)


def test_a_damaged_byte_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"port":8443', b'"port":8444'))
    with pytest.raises(WireError, match="not a whole zip"):
        read_kit(path)


def test_extra_members_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    rewrite(path, {**members_of(path), "../site.toml": b"name = 'x'"})
    with pytest.raises(WireError, match=r"nothing else; this one holds \.\./site\.toml"):
        read_kit(path)


def test_missing_members_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    rewrite(path, {"kit.json": members_of(path)["kit.json"]})
    with pytest.raises(WireError, match=r"nothing else; this one holds kit\.json"):
        read_kit(path)


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(path, "a") as archive,
    ):
        archive.writestr("kit.json", b"{}")
    with pytest.raises(WireError, match=r"holds ca\.pem, kit\.json, kit\.json, kit\.sig"):
        read_kit(path)


def test_a_member_that_unpacks_to_four_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = write(tmp_path)
    bomb = b"\0" * (4 * 1024 * 1024)
    members = {"kit.json": bomb, "ca.pem": b"", "kit.sig": b""}
    rewrite(path, members, packed=zipfile.ZIP_DEFLATED)
    with pytest.raises(WireError, match=r"kit\.json says 4194304 bytes; want at most 65536"):
        read_kit(path)


def test_a_compressed_member_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    rewrite(path, members_of(path), packed=zipfile.ZIP_DEFLATED)
    with pytest.raises(WireError, match=r"ca\.pem is compressed, and no member of a kit is"):
        read_kit(path)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    rewrite(path, {**members_of(path), "kit.json": b" " * 70_000})
    with pytest.raises(WireError, match="a kit has at most 65536 bytes"):
        read_kit(path)


def test_a_member_with_a_password_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + flags] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(WireError, match="not a whole zip"):
        read_kit(path)


def test_no_damage_opens_a_kit_or_ends_in_another_error(tmp_path: Path) -> None:
    path = write(tmp_path)
    whole, expected = path.read_bytes(), read_kit(path)
    random = Random(20260301)  # noqa: S311 - damage, not a secret
    n_refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(random.randint(1, 4)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        path.write_bytes(bytes(damaged))
        try:
            assert read_kit(path) == expected  # zip has fields that nobody reads: dates, modes
        except (WireError, ConfigError):
            n_refused += 1
    assert n_refused > 200


def test_a_kit_with_other_fields_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    rewrite(path, {**members_of(path), "kit.json": b'{"data": "/etc"}'})
    with pytest.raises(WireError, match=r"(?s)data: unknown key.*is no usable kit"):
        read_kit(path)


def test_an_expired_authority_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, made=NOW - timedelta(days=3654))
    with pytest.raises(ConfigError, match=r"the authority's certificate in .* expired on"):
        read_kit(path)


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kit.zip").write_bytes(io.BytesIO(b"name = 'alpha'").getvalue())
    with pytest.raises(WireError, match="not a whole zip"):
        read_kit(tmp_path / "kit.zip")


def test_a_missing_kit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.zip: no such file"):
        read_kit(tmp_path / "none.zip")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lesionfed_version", "0.1.0\x1b[2J"),
        ("lesionfed_version", "0.1.0\nauthority: SHA256:x"),
        ("address", "lesionfed.example.org\x1b[1A"),
        ("issued", "2026-02-30T12:00:00+00:00"),
        ("issued", "today"),
    ],
)
def test_what_a_kit_says_of_itself_can_be_shown(tmp_path: Path, field: str, value: str) -> None:
    table = json.loads(members_of(write(tmp_path))["kit.json"])
    with pytest.raises(ConfigError, match=f"{field}: ") as refused:
        Kit.from_table({**table, field: value}, where="kit.json")
    assert all(line.isprintable() for line in str(refused.value).split("\n"))


def test_a_key_of_a_table_cannot_begin_a_line_of_its_own(tmp_path: Path) -> None:
    table = json.loads(members_of(write(tmp_path))["kit.json"])
    with pytest.raises(ConfigError) as refused:
        Kit.from_table({**table, "x\nauthority: SHA256:y": 1}, where="kit.json")
    assert str(refused.value).startswith("kit.json:\n  x\\nauthority: SHA256:y: unknown key")
