"""Lines as hospitals have them: slow, lossy, far away, cut for a while; and a site that hangs."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from server.run.run_folder import RunFolder
from tests.hosts.consortium import COORDINATOR, SITES, HostedConsortium, events_of
from tests.hosts.history import require_each_round_once
from tests.hosts.namespaces import why_not

pytestmark = [
    pytest.mark.federation,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

RUN_S = 900.0
CUT_S = 90.0
TWO_MEGABYTES = "network.widths=[20, 36, 52, 64]"
"""About as many parameters as make messages of 2 MB."""
SLOW = "optimizer.steps=60"
"""A training of some seconds, so that it is under way when it is stopped."""
DEADLINE_S = 55
"""Below the 65 s after which Flower itself gives a silent ClientApp up."""


def test_a_run_completes_over_slow_lossy_and_distant_lines(tmp_path: Path) -> None:
    with HostedConsortium(tmp_path, delay_s=0.2) as consortium:
        for host in SITES:
            consortium.hosts.slow_down(host, rate="10mbit")
            consortium.hosts.lose(host, percent=5)
        consortium.hosts.lose(COORDINATOR, percent=5)
        run = consortium.run("distant", TWO_MEGABYTES)
        finished = consortium.finish("distant", timeout_s=RUN_S)
    assert (finished.status, finished.n_resumes) == ("completed", 0)
    require_each_round_once(run)
    assert min(reply_sizes(run, "training")) > 1_500_000


def test_a_site_whose_line_is_cut_mid_round_comes_back_and_the_run_completes(
    tmp_path: Path,
) -> None:
    with HostedConsortium(tmp_path) as consortium:
        run = consortium.run("cut")
        consortium.await_that(
            lambda: has_begun(run, "training", 1), what="training", timeout_s=RUN_S
        )
        consortium.hosts.cut("site-a")
        restored = time.monotonic() + CUT_S
        consortium.await_that(
            lambda: time.monotonic() > restored, what="the line", timeout_s=2 * CUT_S
        )
        n_before = len(events_of(run))
        consortium.hosts.restore("site-a")
        finished = consortium.finish("cut", timeout_s=RUN_S)
        later = events_of(run)[n_before:]
    assert (finished.status, finished.n_resumes) == ("completed", 0)
    require_each_round_once(run)
    assert "site-a" in {event["site"] for event in later if event["event"] == "reply"}


def test_a_round_closes_at_its_deadline_without_a_site_that_hangs(tmp_path: Path) -> None:
    stopped: set[int] = set()

    def hangs() -> bool:
        """Whether the site's work stands still: each process that begins it is stopped."""
        for pid in consortium.processes("clientapp", "site-b"):
            os.kill(pid, signal.SIGSTOP)
            stopped.add(pid)
        return bool(stopped)

    def is_over() -> bool:
        hangs()  # the process that was stopped first may have been the round before's, at its end
        return bool(events_of_round(run, "training", 1, "round-finished"))

    with HostedConsortium(tmp_path) as consortium:
        run = consortium.run("hangs", f"federation.round_deadline_s={DEADLINE_S}", SLOW)
        consortium.await_that(
            lambda: has_begun(run, "training", 1), what="training", timeout_s=RUN_S
        )
        consortium.await_that(hangs, what="a ClientApp at site-b", timeout_s=DEADLINE_S)
        consortium.await_that(is_over, what="the round's end", timeout_s=2 * DEADLINE_S)
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        finished = consortium.finish("hangs", timeout_s=RUN_S)
    assert (finished.status, finished.n_resumes) == ("completed", 0)
    require_closed_at_deadline(run, "training", without="site-b")
    require_each_round_once(run)
    # it continues where it stood, and its answer arrives, and is refused: the aggregate is made
    (late,) = events_of_round(run, "training", 1, "late-reply")
    assert (late["site"], late["counts_in"]) == ("site-b", None)


def test_a_site_whose_disk_hangs_is_back_without_a_hand(tmp_path: Path) -> None:
    """An image that is never read to its end, while Flower's sign of life continues beside it."""
    with HostedConsortium(tmp_path) as consortium:
        image = next(consortium.site("site-b").path.glob("bids/sub-01/anat/*_FLAIR.nii.gz"))
        kept = image.read_bytes()
        image.unlink()
        os.mkfifo(image)
        run = consortium.run("disk", f"federation.round_deadline_s={DEADLINE_S}")
        consortium.await_that(
            lambda: bool(events_of_round(run, "statistics", 1, "round-finished")),
            what="the round's end",
            timeout_s=RUN_S,
        )
        image.unlink()
        image.write_bytes(kept)
        finished = consortium.finish("disk", timeout_s=RUN_S)
        log = (consortium.site("site-b").logs / "supernode.log").read_text("utf-8")
    assert (finished.status, finished.n_resumes) == ("completed", 0)
    require_closed_at_deadline(run, "statistics", without="site-b")
    assert "longer than the coordinator waits" in log
    assert "site-b" in {e["site"] for e in events_of_round(run, "training", 2, "reply")}


def require_closed_at_deadline(run: RunFolder, phase: str, *, without: str) -> None:
    """AssertionError unless the first round of the phase closed then, with all but one site."""
    (closed,) = events_of_round(run, phase, 1, "round-finished")
    assert closed["n_replies"] == len(SITES) - 1
    assert DEADLINE_S <= closed["wall_s"] < DEADLINE_S + 15
    (failed,) = events_of_round(run, phase, 1, "site-failed")
    assert (failed["site"], failed["code"]) == (without, "deadline")


def has_begun(run: RunFolder, phase: str, round_index: int) -> bool:
    """Whether a site of the round has been asked."""
    asked = events_of_round(run, phase, round_index, "site-state")
    return any(event["state"] == "training" for event in asked)


def events_of_round(
    run: RunFolder, phase: str, round_index: int, event: str
) -> list[dict[str, Any]]:
    """All events of that kind in one round."""
    wanted = (phase, round_index, event)
    return [e for e in events_of(run) if (e.get("phase"), e.get("round"), e["event"]) == wanted]


def reply_sizes(run: RunFolder, phase: str) -> list[int]:
    replies = [e for e in events_of(run) if e["event"] == "reply" and e["phase"] == phase]
    return [int(reply["size_bytes"]) for reply in replies]
