"""A run that is cut in the middle of a round, to be resumed."""

from __future__ import annotations

import pytest

from server.events.run_event import RunEvent
from server.run.run_folder import RunFolder
from server.simulate import simulate


def cut_in_the_second_round(folder: RunFolder) -> None:
    """Executes the run of two sites until the first has answered in the second training round.

    That site is then asked for the round again.
    """
    seen: list[RunEvent] = []

    def stop(event: RunEvent) -> None:
        if event.event == "reply" and getattr(event, "phase", "") == "training":
            seen.append(event)
            if len(seen) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(folder, images=False, listener=stop)
