"""Jobs done side by side, each in a process of its own, as many as memory allows."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from client.prepare.job import Job, PlannedJob
from client.prepare.memory import MemoryBudget
from common.errors import SiteDataError

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-P", "-m", "client.prepare.prepare_subject")
"""-P: the folder in which the command was called is not searched for modules."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOutcome:
    """The result of one job.

    error        what went wrong, or None where the job was done
    code         the error's short word
    notes        case -> what the chain had to say
    peak_bytes   the most memory the worker held; 0 where it ended before it could say
    """

    name: str
    error: str | None
    code: str
    notes: dict[str, list[str]]
    wall_s: float
    peak_bytes: int


def run_jobs(
    jobs: Sequence[PlannedJob],
    *,
    n_workers: int,
    memory_bytes: int,
    on_done: Callable[[JobOutcome], None] | None = None,
    command: Sequence[str] = COMMAND,
) -> list[JobOutcome]:
    """Every job's outcome, in the order of the jobs; one that fails leaves the others going.

    memory_bytes   what all workers together may take, by their estimates
    on_done        called after each job, in this thread
    command        the worker's program
    Stopped by an exception, such as the user's Ctrl-C, it ends its workers first.
    """
    workers = _Workers(command, MemoryBudget(memory_bytes))
    outcomes: dict[int, JobOutcome] = {}
    with ThreadPoolExecutor(n_workers) as pool:
        futures = {pool.submit(workers.run, job): index for index, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                outcomes[futures[future]] = outcome = future.result()
                if on_done is not None:
                    on_done(outcome)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            workers.end()
            raise
    return [outcomes[index] for index in sorted(outcomes)]


class _Workers:
    """The processes that run now."""

    def __init__(self, command: Sequence[str], budget: MemoryBudget) -> None:
        self._command = list(command)
        self._budget = budget
        self._at_work: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def run(self, planned: PlannedJob) -> JobOutcome:
        """One job's outcome, once the memory for it is free."""
        began = time.monotonic()
        try:
            with self._budget.reserve(planned.memory_bytes):
                began = time.monotonic()
                answer = self._answer(planned.job)
        except SiteDataError as error:
            answer = {"error": str(error), "code": error.code}
        return JobOutcome(
            name=planned.job.name,
            error=answer.get("error"),
            code=answer.get("code", ""),
            notes=answer.get("notes", {}),
            wall_s=time.monotonic() - began,
            peak_bytes=answer.get("peak_bytes", 0),
        )

    def end(self) -> None:
        """Ends every worker and lets none begin."""
        with self._lock:
            self._ended = True
            for process in self._at_work:
                process.terminate()

    def _answer(self, job: Job) -> dict[str, Any]:
        with self._lock:
            if self._ended:
                raise SiteDataError("stopped before it began", code="stopped")
            process = subprocess.Popen(  # noqa: S603 # our own module, no shell
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            self._at_work.add(process)
        try:
            return _answer_of(process, job)
        finally:
            with self._lock:
                self._at_work.discard(process)


def _answer_of(process: subprocess.Popen[str], job: Job) -> dict[str, Any]:
    """The worker's answer, or an error that says how it ended without one."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    listener = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    listener.start()
    with process:
        try:
            process.stdin.write(job.model_dump_json() + "\n")
            process.stdin.flush()  # and left open: the worker ends when it closes
        except BrokenPipeError:
            pass  # it died at once; its exit code says how
        lines = process.stdout.read().splitlines()
        code = process.wait()
        listener.join()
    log.debug("worker on %s said: %s", job.name, "".join(said))
    if code == 0 and lines:
        answer: dict[str, Any] = json.loads(lines[-1])
        return answer
    if code < 0:
        name = signal.Signals(-code).name
        raise SiteDataError(
            f"its worker was ended by {name}. "
            + (
                "The system does so when memory runs out: use fewer --workers."
                if name == "SIGKILL"
                else "Run the command again; if it stays so, report it."
            ),
            code="worker-ended",
        )
    last = next((line.strip() for line in reversed(said) if line.strip()), "it said nothing")
    raise SiteDataError(
        f"its worker failed with exit code {code}: {last}. This is a fault of the program: "
        "please report it.",
        code="worker-failed",
    )
