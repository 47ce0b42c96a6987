"""Work that hangs ends its process once nobody waits for the answer any more."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.flower import time_limit
from client.flower.time_limit import GIVEN_UP, TimeLimitedApp

CONTEXT = Context(run_id=1, node_id=2, node_config={}, state=RecordDict(), run_config={})
PROGRAM = """
import logging, sys, threading, time
from flwr.app import Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from client.flower import time_limit

TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")
time_limit.LOG_S = {last_words_s}
threading.Thread(target=time.sleep, args=(600,)).start()  # the heartbeat lives

def app(message, context):
    {body}

message = Message(RecordDict(), 2, "query.lesionfed", ttl={ttl})
{before}
print(time_limit.TimeLimitedApp(app)(message=message, context=None), flush=True)
for timer in [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]:
    timer.join()
import os; os._exit(7)
"""


def ended(
    body: str, *, ttl: float = 0.5, last_words_s: float = 60.0, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """How the process ended; one that has its answer stays until no time limit runs any more."""
    program = PROGRAM.format(body=body, ttl=ttl, last_words_s=last_words_s, before=before)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False
    )


def test_work_that_hangs_ends_the_process_and_the_hospital_is_notified(tmp_path: Path) -> None:
    fifo = tmp_path / "disk that is gone"
    os.mkfifo(fifo)
    done = ended(f"return open({str(fifo)!r}).read()")
    assert (done.returncode, done.stdout) == (GIVEN_UP, "")
    assert "ERROR the work took longer than the coordinator waits for it" in done.stderr
    assert "the next request is answered" in done.stderr


def test_it_ends_too_where_the_log_hangs() -> None:
    hangs = "logging.getLogger().handlers[0].acquire()"
    done = ended("time.sleep(600)", last_words_s=0.5, before=hangs)
    assert (done.returncode, done.stderr) == (GIVEN_UP, "")


def test_an_answer_in_time_is_passed_on_and_nothing_ends_the_process_later() -> None:
    done = ended("return 'the answer'", ttl=10.0)
    assert (done.returncode, done.stdout, done.stderr) == (7, "the answer\n", "")


def sent(*, ttl: float) -> Message:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    message = Message(RecordDict(), 2, "query.lesionfed", ttl=1.0)
    message.metadata.ttl = ttl  # as it may come; Flower makes none below 0
    return message


def test_an_answer_is_the_apps_own_and_so_is_what_it_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_up: list[float] = []
    monkeypatch.setattr(time_limit, "_give_up", given_up.append)
    message = sent(ttl=10.0)
    answer = Message(RecordDict(), reply_to=message)
    answers = iter([answer])

    def app(asked: Message, context: Context) -> Message:
        assert asked is message
        assert context is CONTEXT
        return next(answers)

    assert TimeLimitedApp(app)(message=message, context=CONTEXT) is answer
    with pytest.raises(StopIteration, match=r"^$"):
        TimeLimitedApp(app)(message=message, context=CONTEXT)
    for timer in [t for t in threading.enumerate() if isinstance(t, threading.Timer)]:
        timer.join()
    assert given_up == []


@pytest.mark.parametrize("ttl", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_time_to_live_that_makes_no_sense_neither_ends_the_work_nor_takes_the_bound_away(
    monkeypatch: pytest.MonkeyPatch, ttl: float
) -> None:
    begun: list[float] = []

    class Timer:
        def __init__(self, wait_s: float, *_: object, **__: object) -> None:
            begun.append(wait_s)

        def start(self) -> None: ...
        def cancel(self) -> None: ...

    monkeypatch.setattr(threading, "Timer", Timer)
    TimeLimitedApp(lambda message, _: message)(sent(ttl=ttl), CONTEXT)
    assert begun == [time_limit.LONGEST_S]
