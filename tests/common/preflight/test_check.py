"""What is not tried after a fault."""

from __future__ import annotations

from common.preflight.check import Step, passed, problem, run_steps


def test_only_an_essential_fault_stops_the_rest() -> None:
    steps = [
        Step("a", lambda: problem("a", "odd", "mend it")),
        Step("b", lambda: passed("b", "fine"), essential=True),
        Step("c", lambda: problem("c", "odd", "mend it"), essential=True),
        Step("d", lambda: passed("d", "fine")),
    ]
    assert [check.status for check in run_steps(steps)] == [
        "problem",
        "passed",
        "problem",
        "not-checked",
    ]
