"""One hospital whose node is run by `lesionfed-site run`: a whole run, and the end by force."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.federation.site_command import SiteCommandConsortium
from tests.federation.test_deployment import RUN_S, new_run
from tests.toy_sites import write_site
from tests.waiting import wait_until

pytestmark = [pytest.mark.federation, pytest.mark.slow]


def test_a_run_completes_and_nothing_of_the_bundle_is_unpacked(tmp_path: Path) -> None:
    settings = write_site(tmp_path / "guarded", name="guarded", seed=0)
    with SiteCommandConsortium(tmp_path / "processes", {"guarded": settings}) as consortium:
        keys = {"guarded": consortium.public_key("guarded")}
        folder = new_run(tmp_path / "run", keys, consortium.made_members())
        run_id = consortium.submit({"run-folder": str(folder.path)})
        outcome = consortium.wait(run_id, timeout_s=RUN_S)
        assert outcome.status == "finished:completed", outcome.details
        told = consortium.service("guarded").log.read_text("utf-8")
        unpacked = list(consortium.apps_folder("guarded").rglob("*"))
    for line in (" connected", " work begins", " work ends"):
        assert line in told
    assert unpacked == []


def test_a_node_whose_command_is_killed_does_not_stay_behind(tmp_path: Path) -> None:
    site = tmp_path / "no-images.toml"
    with SiteCommandConsortium(tmp_path / "processes", {"guarded": site}) as consortium:
        folder = consortium.site("guarded").path
        assert len(processes_in(folder)) >= 3  # the command, the node, its executor
        consortium.service("guarded").send(signal.SIGKILL)
        wait_until(lambda: not processes_in(folder), lambda: f"the end of {processes_in(folder)}")


def processes_in(folder: Path) -> list[str]:
    """The commands of all processes that work in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder.resolve():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has just ended
            continue
    return found
