from __future__ import annotations

import stat
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.membership.node_key import new_node_key
from common.membership.requests_key import new_requests_key, public_half, read_requests_key


def test_a_key_is_its_owners_alone_and_a_new_one_takes_its_place(tmp_path: Path) -> None:
    file = tmp_path / "requests.key"
    new_requests_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first = public_half(read_requests_key(file))
    assert public_half(read_requests_key(file)) == first
    new_requests_key(file)
    assert public_half(read_requests_key(file)) != first


def test_a_key_that_is_lost_or_another_says_how_to_make_one(tmp_path: Path) -> None:
    file = tmp_path / "requests.key"
    with pytest.raises(ConfigError, match=r"no such file.*rotate --requests-key"):
        read_requests_key(file)
    file.write_bytes(b"x")
    with pytest.raises(ConfigError, match="not a private key in PEM"):
        read_requests_key(file)
    new_node_key(tmp_path / "site.key")
    (tmp_path / "site.key").rename(file)
    with pytest.raises(ConfigError, match=r"want an Ed25519 key|not a private key"):
        read_requests_key(file)
