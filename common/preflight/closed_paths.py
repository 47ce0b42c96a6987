"""Is everything but the fleet's path closed from here?"""

from __future__ import annotations

from common.preflight.check import Check, not_checked, passed, problem
from common.preflight.coordinator import Coordinator, reason

NAME = "control closed"

CLOSED = ("/v1/control/list-runs", "/v1/runtime/get-nodes")
"""One path of each: control starts runs and enrols nodes for whoever reaches it; runtime hands out
the work. Asked with a media type that the SuperLink refuses: an open path does nothing either."""
FORBIDDEN = 403


def control_closed(coordinator: Coordinator) -> Check:
    """Passed where the proxy answers 403 to both."""
    for path in CLOSED:
        try:
            status = coordinator.answer("POST", path).status
        except OSError as error:
            return not_checked(NAME, f"no answer to {path}: {reason(error)}")
        if status != FORBIDDEN:
            return problem(
                NAME,
                f"the proxy answers {status} to {path}; want {FORBIDDEN}: whoever reaches it may "
                "run code at the sites",
                "Start no run. The coordinator lets the proxy pass /v1/fleet/ and nothing else, as "
                "in the nginx.conf that `lesionfed provision` writes.",
            )
    return passed(NAME, f"{' and '.join(CLOSED)}: {FORBIDDEN}")
