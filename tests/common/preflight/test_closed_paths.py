"""Control and runtime from a site's side."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.preflight.closed_paths import control_closed
from tests.preflight_servers import Authority, at, https_server


def test_403_to_control_and_runtime_passes(tmp_path: Path) -> None:
    authority = Authority()
    with https_server(authority.server(tmp_path / "server")) as port:
        assert control_closed(at(port, tmp_path, authority)).status == "passed"


@pytest.mark.parametrize("path", ["/v1/control/list-runs", "/v1/runtime/get-nodes"])
@pytest.mark.parametrize("status", [200, 415, 502])
def test_any_other_answer_is_a_problem(tmp_path: Path, path: str, status: int) -> None:
    authority = Authority()
    files = authority.server(tmp_path / "server")
    with https_server(files, answers={path: (status, {})}) as port:
        check = control_closed(at(port, tmp_path, authority))
    assert check.status == "problem"
    assert check.found.startswith(f"the proxy answers {status} to {path}; want 403")
