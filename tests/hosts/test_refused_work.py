"""Sites that do not fit the run: each is refused, named with what to do, and the others continue.

One run over the whole stack with five enrolled sites, of which one is in order.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from client.site.site_folder import SiteFolder
from server.events.failure_advice import advice
from tests.federation.processes import Service, stop_all
from tests.hosts.consortium import PROGRAMS, HostedConsortium, events_of, plain_environment
from tests.hosts.namespaces import why_not

pytestmark = [
    pytest.mark.federation,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

ROOT = Path(__file__).parents[2]
RUN_S = 300.0

GOOD, OTHER_RECIPE, OTHER_VERSION, BORROWER, LENDER = SITES = (
    "in-order",
    "other-recipe",
    "other-version",
    "borrower",
    "lender",
)
"""The borrower's node runs with the lender's key; the lender's own node does not run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Aftermath:
    """What the run left behind.

    status     how it ended
    failures   site -> the codes of its failures
    replies    the sites whose answers count
    advised    what `lesionfed status` says
    logs       site -> its node's log
    """

    status: str
    failures: dict[str, set[str]]
    replies: set[str]
    advised: str
    logs: dict[str, str]


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    base = tmp_path_factory.mktemp("refused")
    with HostedConsortium(base / "consortium", sites=SITES, running=()) as consortium:
        with_policy(consortium.site(OTHER_RECIPE), recipes=["0" * 64])
        borrow_key(consortium.site(BORROWER), consortium.site(LENDER))
        for name in (GOOD, OTHER_RECIPE, BORROWER):
            consortium.start_site(name)
        other = start_with_other_code(consortium, OTHER_VERSION, base)
        try:
            yield looked_at(consortium, other)
        finally:
            stop_all([other])


def test_the_run_completes_with_the_one_site_that_fits(aftermath: Aftermath) -> None:
    assert aftermath.status == "completed"
    assert aftermath.replies == {GOOD}
    assert GOOD not in aftermath.failures


@pytest.mark.parametrize(
    ("site", "code", "words"),
    [
        (OTHER_RECIPE, "recipe-not-approved", "Read the recipe, and add its digest"),
        (OTHER_VERSION, "code-mismatch", "Install the version that the coordinator names"),
        # whoever holds the lender's key is asked as the lender, and knows itself that it is not
        (LENDER, "wrong-site", "the request is for 'lender', and this site is 'borrower'"),
    ],
)
def test_the_coordinator_reads_what_to_do_and_the_site_why(
    aftermath: Aftermath, site: str, code: str, words: str
) -> None:
    assert aftermath.failures[site] == {code}
    assert advice(code).split(":")[0] in aftermath.advised
    log = aftermath.logs[BORROWER if site == LENDER else site]
    assert words in " ".join(log.split())


def test_a_site_whose_key_is_not_there_is_absent(aftermath: Aftermath) -> None:
    assert aftermath.failures[BORROWER] == {"absent"}


def with_policy(site: SiteFolder, *, recipes: list[str]) -> None:
    """The hospital has approved these recipes alone."""
    text = site.settings_file.read_text("utf-8")
    assert text.rstrip().endswith("min_subjects = 1")  # the table of the policy is the last
    site.settings_file.write_text(f"{text.rstrip()}\nrecipes = {json.dumps(recipes)}\n", "utf-8")


def borrow_key(site: SiteFolder, lender: SiteFolder) -> None:
    """The site's key is the lender's, and its kit says so too: its own check finds no fault."""
    shutil.copy(lender.key_file, site.key_file)
    kit, lenders = (json.loads(folder.kit_file.read_bytes()) for folder in (site, lender))
    kit["public_key"] = lenders["public_key"]
    site.kit_file.write_text(json.dumps(kit), "utf-8")


def start_with_other_code(consortium: HostedConsortium, name: str, base: Path) -> Service:
    """`lesionfed-site run` of a LesionFed with one more comment than the one under test."""
    for room in ("client", "common", "server"):
        shutil.copytree(
            ROOT / room, base / "other" / room, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "lesionfed.py", base / "other")
    with (base / "other" / "client" / "app.py").open("a", encoding="utf-8") as file:
        file.write("# another version\n")
    return consortium.hosts.run_in(
        name,
        [str(PROGRAMS / "lesionfed-site"), "run", "--folder", str(consortium.site(name).path)],
        log=base / "other.log",
        folder=base,
        environment={**plain_environment(), "PYTHONPATH": str(base / "other")},
    )


def looked_at(consortium: HostedConsortium, other: Service) -> Aftermath:
    """Runs the toy recipe once all nodes are there."""
    started = (GOOD, OTHER_RECIPE, BORROWER)
    consortium.await_that(
        lambda: all(map(consortium.connected, started)) and "connected" in other.log.read_text(),
        what="four nodes",
        timeout_s=120,
    )
    run = consortium.run("fits-one", "federation.quorum=1", "federation.wait_for_sites_s=5")
    consortium.await_that(
        lambda: consortium.status("fits-one").status in ("completed", "failed", "stopped"),
        what="the run's end",
        timeout_s=RUN_S,
    )
    events = events_of(run)
    failures: dict[str, set[str]] = {}
    for event in events:
        if event["event"] == "site-failed":
            failures.setdefault(event["site"], set()).add(event["code"])
    told: subprocess.CompletedProcess[str] = consortium.try_lesionfed("status", "fits-one")
    return Aftermath(
        status=consortium.status("fits-one").status,
        failures=failures,
        replies={event["site"] for event in events if event["event"] == "reply"},
        advised=" ".join(told.stdout.split()),
        logs={
            name: (consortium.site(name).logs / "supernode.log").read_text("utf-8")
            for name in (OTHER_RECIPE, OTHER_VERSION, BORROWER)
        },
    )
