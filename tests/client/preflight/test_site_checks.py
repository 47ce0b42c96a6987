"""A whole site's preflight, against a server on loopback that is as it should be or is not."""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from client.cli import main
from client.preflight.site_checks import site_checks
from client.preflight.site_files import running_node
from client.site.site_folder import SiteFolder
from common.code_digest import code_digest
from common.membership.certificate import certificate_fingerprint
from common.membership.kit import Kit
from common.membership.node_key import new_node_key
from common.preflight.check import CheckResult
from common.recipe.recipe import load_recipe
from tests.preflight_servers import Authority, https_server

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


def joined_site(path: Path, authority: Authority, *, port: int) -> SiteFolder:
    """A site's folder as `init` and `join` leave it, with one subject."""
    folder = SiteFolder(path / "north")
    (path / "north" / "bids" / "sub-01").mkdir(parents=True)
    folder.settings_file.write_text(
        tomli_w.dumps({"name": "north", "data": "bids", "work": "work"})
    )
    folder.kit_file.parent.mkdir()
    folder.authority_file.write_bytes(authority.pem)
    kit = Kit(
        federation="toy",
        site="north",
        role="train",
        public_key=new_node_key(folder.key_file),
        address="127.0.0.1",
        port=port,
        authority_fingerprint=certificate_fingerprint(authority.pem),
        requests_key="A" * 43 + "=",
        lesionfed_version=importlib.metadata.version("lesionfed"),
        code_digest=code_digest(),
        issued="2026-01-02T03:04:05Z",
    )
    folder.kit_file.write_text(kit.canonical_json())
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteFolder]:
    authority = Authority()
    with https_server(authority.server(tmp_path / "server")) as port:
        yield joined_site(tmp_path, authority, port=port)


def by_name(folder: SiteFolder) -> dict[str, CheckResult]:
    return {check.name: check for check in site_checks(folder, recipe=None)}


def test_a_good_site_has_no_problem_and_every_kind_of_check(site: SiteFolder) -> None:
    recipe = load_recipe("default", scale="small")
    checks = {check.name: check for check in site_checks(site, recipe=recipe)}
    assert [check for check in checks.values() if check.status == "problem"] == []
    assert [c.name for c in checks.values() if c.status == "not-checked"] == ["SuperNode's health"]
    assert {"data folder", "disk", "memory", "device", "node key", "bandwidth"} <= checks.keys()
    assert checks["kit"].found == "site north of toy, role train"
    assert "each way" in checks["bandwidth"].found


def test_a_site_that_has_not_joined_is_asked_to_and_nothing_is_connected(site: SiteFolder) -> None:
    site.kit_file.unlink()
    checks = by_name(site)
    assert checks["kit"].status == "problem"
    assert "has not joined a federation" in checks["kit"].found
    assert "lesionfed-site join" in str(checks["kit"].fix)
    assert checks["connection"].status == "not-checked"
    assert "TCP connection" not in checks


def test_a_kit_for_another_key_or_authority_is_reported(site: SiteFolder) -> None:
    table = json.loads(site.kit_file.read_text())
    site.kit_file.write_text(json.dumps({**table, "authority_fingerprint": "SHA256:" + 43 * "A"}))
    assert "is not the authority that the kit names" in by_name(site)["kit"].found
    site.kit_file.write_text(json.dumps(table))
    site.key_file.unlink()
    new_node_key(site.key_file)
    assert "kit.json is for another key" in by_name(site)["kit"].found


def test_a_node_that_listens_and_does_not_answer_is_a_problem(
    site: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.preflight.health.TIMEOUT_S", 0.3)
    site.flwr_home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as hung:
        site.health_file.write_text(f"127.0.0.1:{hung.getsockname()[1]}\n")
        check = running_node(site)
    assert check.status == "problem"
    assert "does not answer" in check.found
    assert running_node(site).found == "no node of this site runs now"


def test_missing_settings_and_empty_data_are_problems(site: SiteFolder) -> None:
    (site.path / "bids" / "sub-01").rmdir()
    assert "has no sub-* folder" in by_name(site)["data folder"].found
    (site.path / "bids").rmdir()
    assert "no such folder" in by_name(site)["data folder"].found
    site.settings_file.write_text("name = 'north'")
    checks = by_name(site)
    assert "data: missing; add it" in checks["site settings"].found
    assert "disk" not in checks


def test_the_exit_code_tells_problems_from_wrong_usage(
    site: SiteFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["preflight", "--folder", str(site.path)]
    assert main([*folder, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["n_problems"] == 0
    site.key_file.chmod(0o644)
    assert main(folder) == 1
    shown = capsys.readouterr().out
    assert "chmod 600" in shown
    assert "problem: 1" in shown
    assert main([*folder, "--recipe", "no-such-recipe"]) == 2
    assert main(["preflight", "--folder", str(site.path / "nowhere")]) == 2


@pytest.mark.skipif(not FAKETIME.exists(), reason=f"no {FAKETIME}: install Debian's libfaketime")
def test_a_clock_ten_minutes_ahead_is_reported_in_a_sentence(site: SiteFolder) -> None:
    asked = ["preflight", "--folder", str(site.path), "--json"]
    code = f"from client.cli import main; main({asked!r})"
    environment = {**os.environ, "LD_PRELOAD": str(FAKETIME), "FAKETIME": "+10m"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["clock"]["status"] == "problem"
    assert checks["clock"]["found"].startswith(
        "this clock is 10 minutes ahead of the coordinator's"
    )
    assert checks["TLS certificate"]["status"] == "passed"
