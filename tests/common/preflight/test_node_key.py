"""The key's acceptance, by what the server answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.membership.node_key import new_node_key
from common.preflight.node_key import node_key_accepted
from tests.preflight_servers import Authority, at, https_server

PATH = "/v1/fleet/activate-node"


@pytest.mark.parametrize(
    ("status", "content", "judged_as", "words"),
    [
        (400, {"code": 2003, "detail": "interval"}, "passed", "registered"),
        (412, {"code": 2004, "detail": "no"}, "problem", "does not know this key"),
        (401, {"detail": "no"}, "problem", "does not take this key's signature"),
        (403, {}, "problem", "lets nothing through to /v1/fleet/"),
        (502, {}, "problem", "the SuperLink behind it does not run"),
        (500, {}, "not-checked", "HTTP 500"),
    ],
)
def test_the_answer_is_reported_as_text(
    tmp_path: Path, status: int, content: dict[str, Any], judged_as: str, words: str
) -> None:
    new_node_key(tmp_path / "site.key")
    authority = Authority()
    files = authority.server(tmp_path / "server")
    with https_server(files, answers={PATH: (status, content)}) as port:
        check = node_key_accepted(at(port, tmp_path, authority), tmp_path / "site.key")
    assert check.status == judged_as
    assert words in check.found


def test_a_missing_or_damaged_key_is_a_problem(tmp_path: Path) -> None:
    coordinator = at(1, tmp_path, Authority())
    assert "no such file" in node_key_accepted(coordinator, tmp_path / "site.key").found
    (tmp_path / "site.key").write_text("nothing")
    assert node_key_accepted(coordinator, tmp_path / "site.key").status == "problem"
