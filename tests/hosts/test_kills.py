"""kill -9 of every kind of process at random moments; each run then learns what it would have.

One run for each seed of LESIONFED_KILL_SEEDS, such as `0,1`; without it the seeds 0 to 19, in which
every kind has its turn at least twice. The kind follows from the seed, the moment and the site are
drawn with it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from common.wire.field_types import Arrays
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import RunFolder
from tests.hosts.consortium import COORDINATOR, PROCESSES, SITES, HostedConsortium, events_of
from tests.hosts.history import require_each_round_once
from tests.hosts.namespaces import why_not

pytestmark = [
    pytest.mark.federation,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

KINDS = (
    *("serverapp", "supernode", "superlink", "clientapp", "serve"),
    *("site-run", "superexec", "nginx", "standby"),
)
SEEDS = [int(seed) for seed in os.environ.get("LESIONFED_KILL_SEEDS", "").split(",") if seed]
N_EVENTS = 90
"""A run without a kill writes some 95 events."""
ALIVE_S = 120.0
"""How long a process of the kind may take to appear: ClientApps live for one message only."""
RUN_S = 900.0
BACK_S = 150.0
"""How long a service may take to come back; at a site it is started again after 60 s."""


STEADY_S = 8.0
"""One that is started and cannot stay, such as for a port that is taken, is gone by then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """What is killed, and when: `after_s` after the run's event number `n_events`."""

    kind: str
    host: str
    n_events: int
    after_s: float


def kill_of(seed: int) -> Kill:
    """The kill of one seed."""
    drawn = random.Random(seed)  # noqa: S311 - a test's moments
    kind = KINDS[seed % len(KINDS)]
    host = COORDINATOR if PROCESSES[kind][0] == COORDINATOR else drawn.choice(SITES)
    return Kill(
        kind=kind, host=host, n_events=drawn.randrange(N_EVENTS), after_s=drawn.uniform(0, 3)
    )


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedConsortium]:
    with HostedConsortium(tmp_path_factory.mktemp("kills")) as hosted:
        yield hosted


@pytest.fixture(scope="module")
def undisturbed(consortium: HostedConsortium) -> Arrays:
    """What a run learns in which nothing is killed."""
    run = consortium.run("undisturbed")
    finished = consortium.finish("undisturbed", timeout_s=RUN_S)
    assert (finished.status, finished.n_resumes) == ("completed", 0)
    require_each_round_once(run)
    return parameters_of(run)


def test_every_kind_of_process_is_killed_at_least_twice() -> None:
    kinds = [kill_of(seed).kind for seed in range(20)]
    assert set(kinds) == set(PROCESSES)
    assert min(kinds.count(kind) for kind in PROCESSES) == 2


@pytest.mark.parametrize("seed", SEEDS or range(20), ids="seed-{}".format)
def test_a_run_outlives_the_death_of_any_process(
    consortium: HostedConsortium, undisturbed: Arrays, seed: int
) -> None:
    kill = kill_of(seed)
    name = f"seed-{seed}"
    run = consortium.run(name)
    consortium.await_that(
        lambda: len(events_of(run)) >= kill.n_events, what=f"{kill}", timeout_s=RUN_S
    )
    time.sleep(kill.after_s)
    consortium.await_that(
        lambda: consortium.send(kill.kind, kill.host, signal.SIGKILL) is not None,
        what=f"a process for {kill}",
        timeout_s=ALIVE_S,
    )
    finished = consortium.finish(name, timeout_s=RUN_S)
    assert finished.status == "completed", (kill, finished)
    require_each_round_once(run)
    require_learned(run, undisturbed)
    if kill.kind not in ("serverapp", "clientapp"):  # these two live for a run, or for a message
        consortium.await_that(
            lambda: stays(consortium, kill), what=f"{kill} to be back", timeout_s=BACK_S
        )


def parameters_of(run: RunFolder) -> Arrays:
    state = load_checkpoint(run.checkpoints)
    assert state is not None
    return state.parameters


def require_learned(run: RunFolder, wanted: Arrays) -> None:
    """AssertionError unless the run learned the same, up to the order in which answers are folded.

    A site that died for good in a round would make a difference: here all four come back in time.
    """
    rounds = [e for e in events_of(run) if e["event"] == "round-finished"]
    assert {e["n_replies"] for e in rounds if e["phase"] == "training"} == {len(SITES)}
    found = parameters_of(run)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-6, err_msg=name)


def stays(consortium: HostedConsortium, kill: Kill) -> bool:
    """Whether such a process runs, and is the same STEADY_S seconds later."""
    pid = consortium.process(kill.kind, kill.host)
    time.sleep(STEADY_S)
    return pid is not None and consortium.process(kill.kind, kill.host) == pid
