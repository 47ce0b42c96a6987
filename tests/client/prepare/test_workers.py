"""The workers, with small programs in the worker's place."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from client.prepare.job import PlannedJob
from client.prepare.workers import JobOutcome, run_jobs
from tests.client.prepare.jobs import toy_plan

GIGABYTE = 10**9

PROGRAM = """
import json, os, signal, sys, time
job = json.loads(sys.stdin.readline())
name = job["cases"][0]["subject"]
{}
print(json.dumps({{"notes": {{name: ["well"]}}, "peak_bytes": 7}}))
"""


def run(
    jobs: tuple[PlannedJob, ...],
    on_first: str,
    *,
    n_workers: int = 1,
    memory_bytes: int = 9 * GIGABYTE,
) -> list[JobOutcome]:
    """The jobs done by a program that does `on_first` where the subject is sub-01."""
    program = PROGRAM.format(f'if name == "sub-01": {on_first}')
    command = (sys.executable, "-c", program)
    return run_jobs(jobs, n_workers=n_workers, memory_bytes=memory_bytes, command=command)


@pytest.fixture
def jobs(tmp_path: Path) -> tuple[PlannedJob, ...]:
    return toy_plan(tmp_path).jobs


def test_outcomes_come_in_the_order_of_the_jobs(jobs: tuple[PlannedJob, ...]) -> None:
    outcomes = run(jobs, "time.sleep(0.3)", n_workers=2)
    assert [outcome.name for outcome in outcomes] == ["sub-01", "sub-02"]
    assert outcomes[0].notes == {"sub-01": ["well"]}
    assert outcomes[0].peak_bytes == 7


@pytest.mark.parametrize(
    ("on_first", "said"),
    [
        pytest.param(
            "os.kill(os.getpid(), signal.SIGKILL)",
            "ended by SIGKILL. The system does so when memory runs out: use fewer --workers",
            id="killed",
        ),
        pytest.param(
            "raise RuntimeError('the ants are loose')",
            "exit code 1: RuntimeError: the ants are loose. This is a fault of the program",
            id="a fault of ours",
        ),
        pytest.param(
            'print(json.dumps({"error": "want a brain, found a foot", "code": "x"})) or sys.exit()',
            "want a brain, found a foot",
            id="an error of the house",
        ),
        pytest.param("sys.exit(3)", "exit code 3: it said nothing", id="without a word"),
    ],
)
def test_a_worker_s_end_is_reported_in_its_own_words_and_the_others_continue(
    jobs: tuple[PlannedJob, ...], on_first: str, said: str
) -> None:
    first, second = run(jobs, on_first)
    assert first.error is not None
    assert said in first.error
    assert second.error is None


def test_a_job_too_large_for_the_memory_is_not_started(jobs: tuple[PlannedJob, ...]) -> None:
    outcomes = run(jobs, "pass", memory_bytes=1000)
    for outcome in outcomes:
        assert outcome.error is not None
        assert "needs about 0.8 GB of memory, and 0.0 GB can be had" in outcome.error
        assert outcome.peak_bytes == 0


def test_a_stop_ends_the_workers(jobs: tuple[PlannedJob, ...]) -> None:
    """The second sleeps for ten minutes; the stop after the first does not wait for it."""

    def stop(_: JobOutcome) -> None:
        raise KeyboardInterrupt

    program = PROGRAM.format('if name == "sub-02": time.sleep(600)')
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_jobs(
            jobs,
            n_workers=2,
            memory_bytes=9 * GIGABYTE,
            command=(sys.executable, "-c", program),
            on_done=stop,
        )
    assert time.monotonic() - began < 300
