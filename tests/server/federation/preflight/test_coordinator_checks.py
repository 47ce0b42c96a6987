"""A whole coordinator's preflight, against a proxy on loopback."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc  # type: ignore[import-untyped] # it ships no types
import pytest
import tomli_w
from grpc_health.v1.health import HealthServicer  # type: ignore[import-untyped] # as above
from grpc_health.v1.health_pb2_grpc import (  # type: ignore[import-untyped] # as above
    add_HealthServicer_to_server,
)

from common.membership.requests_key import new_requests_key
from common.preflight.bandwidth import update_size_bytes
from common.preflight.check import CheckResult, passed
from common.recipe.recipe import load_recipe
from server.cli import main
from server.federation.federation_folder import FederationFolder, FederationSettings
from server.federation.members import Member, Members, write_members
from server.federation.preflight.coordinator_checks import coordinator_checks, enrolled_as_planned
from tests.ports import free_port
from tests.preflight_servers import Authority, https_server


@contextmanager
def superlink_health() -> Iterator[int]:
    with ThreadPoolExecutor(max_workers=2) as pool:
        server = grpc.server(pool)
        add_HealthServicer_to_server(HealthServicer(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[FederationFolder]:
    """A provisioned federation of one enrolled site, with its proxy and its SuperLink's health."""
    authority = Authority()
    folder = FederationFolder(tmp_path)
    files = authority.server(folder.certificate_file.parent)
    assert files == (folder.certificate_file, folder.certificate_key_file)
    folder.authority_file.write_bytes(authority.pem)
    for secret in (folder.authority_key_file, folder.executor_secret_file):
        secret.touch(mode=0o600)
    new_requests_key(folder.requests_key_file)
    with https_server(files) as port, superlink_health() as health_port:
        settings = {"name": "toy", "address": "127.0.0.1", "sites": [{"name": "north"}]}
        ports = {"port": port, "health_port": health_port}
        folder.settings_file.write_text(tomli_w.dumps({**settings, **ports}))
        write_members(folder.members_file, Members(members=(member("north"),)))
        yield folder


def member(site: str, **how: str) -> Member:
    return Member(site=site, public_key=f"key of {site}", enrolled="2026-01-02", **how)  # type: ignore[arg-type] # checked by pydantic


def by_name(folder: FederationFolder) -> dict[str, CheckResult]:
    return {check.name: check for check in coordinator_checks(folder, recipe=None)}


def test_a_good_coordinator_has_no_problem(federation: FederationFolder) -> None:
    checks = by_name(federation)
    assert [check for check in checks.values() if check.status in ("problem", "not-checked")] == []
    assert checks["members"].found == "all 1 planned sites are enrolled and active"
    assert checks["SuperLink's health"].found.endswith("answers SERVING")
    assert checks["certificate served"].found == "the one on disk"


def test_a_key_that_others_may_read_is_a_problem(federation: FederationFolder) -> None:
    federation.authority_key_file.chmod(0o644)
    assert by_name(federation)["secret files"].status == "problem"


def test_a_proxy_that_was_not_reloaded_after_rotating_is_found(
    federation: FederationFolder,
) -> None:
    Authority().server(federation.certificate_file.parent, to_day=500)
    check = by_name(federation)["certificate served"]
    assert check.status == "problem"
    assert "nginx -s reload" in str(check.fix)


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ({"to_day": -0.5, "from_day": -2}, "problem", "the server's certificate holds from"),
        ({"to_day": 7.5}, "warning", "in 7 days"),
        ({"names": "10.1.2.3"}, "problem", "is for 10.1.2.3, not 127.0.0.1"),
    ],
)
def test_the_certificate_on_disk_is_judged_too(
    federation: FederationFolder, how: dict[str, float], status: str, words: str
) -> None:
    Authority().server(federation.certificate_file.parent, **how)  # type: ignore[arg-type] # as named
    check = by_name(federation)["certificate files"]
    assert check.status == status
    assert words in check.found


def test_a_superlink_and_a_proxy_that_do_not_run_are_two_problems(
    federation: FederationFolder,
) -> None:
    settings = federation.settings().model_dump(mode="json", exclude_unset=True)
    stopped = {**settings, "port": free_port(), "health_port": free_port()}
    federation.settings_file.write_text(tomli_w.dumps(stopped))
    checks = by_name(federation)
    assert checks["SuperLink's health"].status == "problem"
    assert checks["TCP connection"].status == "problem"
    assert checks["certificate served"].status == "not-checked"


def test_planned_and_enrolled_sites_are_compared() -> None:
    settings = FederationSettings.from_table(
        {
            "name": "toy",
            "address": "127.0.0.1",
            "sites": [
                {"name": "a"},
                {"name": "b"},
                {"name": "c"},
                {"name": "e", "role": "evaluate"},
            ],
        },
        where="here",
    )
    nobody = enrolled_as_planned(settings, Members(members=(member("e"),)))
    assert nobody.status == "problem"
    assert nobody.found == "none of 4 planned sites is active and trains"
    some = enrolled_as_planned(
        settings, Members(members=(member("a"), member("b", state="suspended"), member("x")))
    )
    assert some.status == "warning"
    assert some.found == (
        "c has not enrolled; e has not enrolled; b is suspended; x is enrolled and not planned"
    )


def test_the_command_answers_in_json_and_by_its_exit_code(
    federation: FederationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["preflight", "--federation", str(federation.path)]
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {check["status"] for check in told["checks"]} <= {"passed", "warning"}
    federation.settings_file.write_text("name = 'toy'")
    assert main(asked) == 1
    assert "address: missing" in capsys.readouterr().out
    assert main(["preflight"]) == 2


def test_a_key_of_another_certificate_is_a_problem(federation: FederationFolder) -> None:
    certificate = federation.certificate_file.read_bytes()
    Authority().server(federation.certificate_file.parent)
    federation.certificate_file.write_bytes(certificate)
    check = by_name(federation)["certificate files"]
    assert check.status == "problem"
    assert "do not belong together" in check.found


def test_memory_is_wanted_for_what_the_aggregation_rule_holds(
    federation: FederationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five sites' updates the median holds five copies, the mean three: two more are wanted."""
    settings = tomllib.loads(federation.settings_file.read_text("utf-8"))
    settings["sites"] = [{"name": f"site-{number}"} for number in range(5)]
    federation.settings_file.write_text(tomli_w.dumps(settings), "utf-8")
    wanted = []

    def memory(*, needed_bytes: int) -> CheckResult:
        wanted.append(needed_bytes)
        return passed("memory", "enough")

    monkeypatch.setattr("server.federation.preflight.coordinator_checks.machine.memory", memory)
    for rule in ("weighted-mean", "median"):
        recipe = load_recipe("default", overrides=[f"federation.aggregation={rule}"])
        list(coordinator_checks(federation, recipe=recipe))
    assert wanted[1] - wanted[0] == 2 * update_size_bytes(recipe)
