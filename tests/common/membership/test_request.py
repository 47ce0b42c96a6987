"""A request is believed only as its site signed it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import ConfigError, WireError
from common.membership.node_key import new_node_key
from common.membership.request import read_request, write_request


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    new_node_key(tmp_path / "site.key")
    write_request(tmp_path / "request.json", site="alpha", key_file=tmp_path / "site.key")
    return tmp_path / "request.json"


def test_a_request_says_the_sites_name_and_key(tmp_path: Path, request_file: Path) -> None:
    from common.membership.node_key import public_key_of

    request = read_request(request_file)
    assert (request.site, request.public_key) == ("alpha", public_key_of(tmp_path / "site.key"))
    assert "PRIVATE" not in request_file.read_text("utf-8")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("site", "beta"),
        ("code_digest", "0" * 64),
        ("created", "2020-01-01T00:00:00+00:00"),
        ("signature", "AAAA"),
        ("signature", "no base64!"),
        ("signature", ""),
    ],
)
def test_a_changed_request_is_refused(request_file: Path, field: str, value: str) -> None:
    table = json.loads(request_file.read_text("utf-8"))
    request_file.write_text(json.dumps({**table, field: value}), encoding="utf-8")
    with pytest.raises(WireError, match="the signature does not fit"):
        read_request(request_file)


def test_a_request_with_the_key_of_another_is_refused(tmp_path: Path, request_file: Path) -> None:
    table = json.loads(request_file.read_text("utf-8"))
    table["public_key"] = new_node_key(tmp_path / "other.key")
    request_file.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(WireError, match="the signature does not fit"):
        read_request(request_file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", "not readable as JSON", id="half a file"),
        pytest.param("[" * 15_000, "not readable as JSON", id="nested without end"),
        pytest.param("[1]", "want a JSON object, got list", id="no object"),
        pytest.param('"' + "a" * 20_000 + '"', "want at most 16384 bytes", id="huge"),
        pytest.param('{"site": "../x"}', r"(?s)site: .*no usable enrolment request", id="fields"),
    ],
)
def test_what_is_no_request_is_refused(request_file: Path, content: str, message: str) -> None:
    request_file.write_text(content, encoding="utf-8")
    with pytest.raises(WireError, match=message):
        read_request(request_file)


def test_a_missing_request_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: no such file"):
        read_request(tmp_path / "none.json")
