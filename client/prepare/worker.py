"""One order carried out in a process of its own: read with `python -m client.prepare.worker`.

A line of JSON in on standard input, one out on standard output. Standard input stays open as long
as the parent lives: when it closes, the worker ends, so that none works on behind a killed parent.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from typing import Any

GRACE_S = 5.0
"""How long the worker may tidy up once its parent is gone (chosen)."""


def main() -> int:
    """Reads one order, carries it out, writes what came of it; the exit code is 0."""
    text = sys.stdin.readline()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer = _answer(text)
    answer["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return 0


def _end_with_parent() -> None:
    """Gives a program of the site's own the time to be ended, where one is at work."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


def _answer(text: str) -> dict[str, Any]:
    from client.prepare.job import WorkOrder
    from common.errors import LesionFedError

    order = WorkOrder.model_validate_json(text)
    _use_threads(order.threads)
    from client.prepare.prepare_subject import (
        carry_out,  # after the threads: libraries count at import
    )

    try:
        return {"notes": carry_out(order)}
    except LesionFedError as error:
        return {"error": str(error), "code": error.code}


def _use_threads(n_threads: int) -> None:
    """The same count everywhere: another one gives other last digits."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(n_threads)


if __name__ == "__main__":
    sys.exit(main())
