from __future__ import annotations

import logging
import sqlite3

import pytest

from common.errors import FlowerError
from server.flower.fault_log import FaultLog


def test_a_fault_that_lasts_is_logged_once_and_again_after_the_check_went_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = FaultLog()
    for i in range(3):
        with faults.logged("the look"):
            raise OSError(28, "No space left on device", f"file-{i}")
    assert len(caplog.messages) == 1
    assert "the look failed and is tried again: OSError: [Errno 28] No space" in caplog.text
    with faults.logged("the look"):
        pass
    with faults.logged("the look"):
        raise OSError(28, "No space left on device", "file")
    assert len(caplog.messages) == 2


def test_another_fault_and_another_check_are_logged_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = FaultLog()
    for what, error in (
        ("one", OSError(28, "No space left on device")),
        ("one", OSError(13, "Permission denied")),
        ("one", sqlite3.OperationalError("no such table: node")),
        ("two", FlowerError("no answer")),
    ):
        with caplog.at_level(logging.WARNING), faults.logged(what):
            raise error
    assert caplog.messages[2:] == [
        "one failed and is tried again: OperationalError: no such table: node",
        "two failed and is tried again: no answer",
    ]
    assert len(caplog.messages) == 4


def test_an_error_of_our_own_is_not_passed_over() -> None:
    with pytest.raises(TypeError, match="ours"), FaultLog().logged("the look"):
        raise TypeError("ours")
