"""Which requests this site has begun to answer: none is answered twice."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from common.errors import WireError
from common.files import locked

ID_LENGTH = 32
LINE_BYTES = ID_LENGTH + 1

LIMIT = 100_000
"""Requests of one run that a site answers; a run of 2,000 rounds asks some 10,000. 3.3 MB."""


class ReplayGuard:
    """The ledger of one site, a file for each run; it outlives the processes.

    folder   inside the site's work folder; made if need be
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, run: str, exchange_id: str) -> None:
        """Remembers the request before the work on it; WireError where it has been seen before.

        A request is spent once begun: work that was killed comes again under an id of its own.
        WireError too where the run has asked LIMIT times.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # by digest: the run's name is the coordinator's, and must not choose a path here
        path = self._folder / f"{hashlib.sha256(run.encode()).hexdigest()}.txt"
        with locked(path) as file:
            file.seek(0)
            seen = file.read(LIMIT * LINE_BYTES).decode("ascii", errors="replace").split("\n")
            if exchange_id in seen:
                raise WireError(
                    f"run {run!r:.200}: request {exchange_id} has come before. It is answered only "
                    "once: a message may have been recorded on its way and sent again.",
                    code="replayed",
                )
            if len(seen) > LIMIT:
                raise WireError(
                    f"run {run!r:.200}: the site has answered {LIMIT} requests, the most of one "
                    "run. Ask the coordinator why there are so many."
                )
            if seen[-1]:  # a line that a crash cut short
                file.write(b"\n")
            file.write(f"{exchange_id}\n".encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
