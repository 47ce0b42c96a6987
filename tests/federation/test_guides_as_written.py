"""The two guides, typed as they stand: from nothing to a first round, with relative paths.

Changed is only what differs at every hospital: names of machines and of folders with images, and
a network small enough for a test. The two commands that install are left out.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from server.run.run_folder import RunFolder
from tests.federation.processes import Service, stop_all, wait_beside
from tests.hosts.consortium import TOY, events_of
from tests.ports import free_port
from tests.toy_sites import write_site

pytestmark = [
    pytest.mark.federation,
    pytest.mark.skipif(
        shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None,
        reason="nginx is not installed",
    ),
]

DOCS = Path(__file__).parents[2] / "docs"
SITES = ("lyon", "ghent", "turin")
N_SUBJECTS = 5  # as many as the policy of the site's guide wants
COMMAND_S = 600.0
READY_S = 300.0


def numbered(page: str) -> dict[int, list[str]]:
    """Number -> the words of the command that bears it, as `  # 3` does."""
    found = {}
    for line in "".join(blocks_in(page, "")).splitlines():
        command, mark, number = line.partition("  # ")
        if mark:
            found[int(number.partition(",")[0])] = shlex.split(command)
    return found


def settings_in(page: str) -> dict[str, object]:
    """The first TOML that the page shows."""
    return tomllib.loads(blocks_in(page, "toml")[0])


def blocks_in(page: str, language: str) -> list[str]:
    """What stands between the page's fences of that language."""
    text = (DOCS / page).read_text("utf-8")
    blocks = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", text)
    return [block for found, block in blocks if found == language]


class Typist:
    """Types commands in one folder, as one person at one machine does."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.services: list[Service] = []

    def type(self, words: list[str], *more: str) -> str:
        """What the command prints; it ends with 0."""
        done = subprocess.run(
            [*words, *more],
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def leave_running(self, words: list[str], *, until: str) -> None:
        """Starts a command that stays, and returns once it has said so."""
        service = Service(
            words,
            log=self.folder / f"{words[0]}.log",
            folder=self.folder,
            environment=environment(),
        )
        self.services.append(service)
        wait_beside(
            [service], lambda: until in service.log.read_text("utf-8"), until, limit_s=READY_S
        )


@pytest.fixture
def typists(tmp_path: Path) -> Iterator[dict[str, Typist]]:
    people = {name: Typist(tmp_path / name) for name in ("coordinator", *SITES)}
    try:
        yield people
    finally:
        stop_all([service for person in people.values() for service in person.services])


def test_the_guides_lead_from_nothing_to_a_first_round(typists: dict[str, Typist]) -> None:
    coordinator, guide, sites_guide = (
        typists["coordinator"],
        numbered("coordinator.md"),
        numbered("site.md"),
    )
    assert list(guide) == list(sites_guide) == [1, 2, 3, 4, 5, 6, 7, 8]
    write_plan(coordinator.folder)
    authority = re.search(r"SHA256:[\w+/]+", coordinator.type(guide[3]))
    assert authority is not None
    coordinator.leave_running(guide[4], until="ready: sites reach")
    for name in SITES:
        enrol(typists[name], name, sites_guide, coordinator, guide, authority[0])
    coordinator.type(guide[6])
    settings = [part for setting in TOY for part in ("--set", setting)]
    printed = coordinator.type(guide[7], *settings)
    assert "completed" in printed
    assert "completed" in coordinator.type(guide[8])
    run = RunFolder(coordinator.folder / "federation" / "runs" / "first")
    assert (run.path / "report.html").exists()
    replies = {e["site"] for e in events_of(run) if e["event"] == "reply"}
    assert replies == set(SITES)
    trained = {
        e["site"] for e in events_of(run) if e["event"] == "reply" and e["phase"] == "training"
    }
    assert trained == {"lyon", "ghent"}  # turin evaluates
    for name in SITES:
        typists[name].type(as_site(sites_guide[8], name))


def write_plan(folder: Path) -> None:
    """The guide's consortium.toml, for this machine; nobody is written to."""
    plan = settings_in("coordinator.md")
    plan |= {"address": "127.0.0.1", "port": free_port()}
    plan |= {"superlink_port": free_port(), "health_port": free_port()}
    held_out = write_site(folder / "porto", name="porto", seed=9, n_subjects=1).parent / "bids"
    plan["unseen"] = [{"name": "porto", "data": str(held_out)}]
    del plan["notify"]
    (folder / "consortium.toml").write_text(tomli_w.dumps(plan), "utf-8")


def enrol(
    site: Typist,
    name: str,
    sites_guide: dict[int, list[str]],
    coordinator: Typist,
    guide: dict[int, list[str]],
    authority: str,
) -> None:
    """Commands 3 to 7 of the site and the coordinator's 5, with what goes between the two."""
    printed = site.type(as_site(sites_guide[3], name))
    fingerprint = re.search(r"fingerprint: (SHA256:[\w+/]+)", printed)
    assert fingerprint is not None, printed
    bids = write_site(site.folder / "toy", name=name, seed=len(name), n_subjects=N_SUBJECTS).parent
    settings = settings_in("site.md") | {"name": name, "data": str(bids / "bids"), "work": "work"}
    (site.folder / "site" / "site.toml").write_text(tomli_w.dumps(settings), "utf-8")
    site.type(as_site(sites_guide[4], name, data=bids / "bids"))
    shutil.copy(site.folder / "site" / "request.json", coordinator.folder / f"{name}.json")
    words = [w.replace("lyon", name) for w in guide[5]]
    coordinator.type([fingerprint[1] if w.startswith("SHA256:") else w for w in words])
    shutil.copy(coordinator.folder / "federation" / "kits" / f"{name}.zip", site.folder)
    words = as_site(sites_guide[5], name)
    site.type([authority if w.startswith("SHA256:") else w for w in words])
    site.type(as_site(sites_guide[6], name))
    site.leave_running(as_site(sites_guide[7], name), until=" connected")


def as_site(words: list[str], name: str, *, data: Path | None = None) -> list[str]:
    """The guide's words with this site's name, and its own folder of images."""
    own = [str(data) if word == "/data/lyon" else word for word in words]
    return [word.replace("lyon", name) for word in own]


def environment() -> dict[str, str]:
    """This process's own, with our commands on PATH and no proxy of the machine's."""
    kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    path = [sysconfig.get_path("scripts"), kept.get("PATH", ""), "/usr/sbin"]
    return {**kept, "PATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
