"""What came from the other side neither moves a terminal's cursor nor forges a line of a log."""

from __future__ import annotations

import io
import logging

import pytest

from common.cli.escaped_log import FLOWER, EscapedRecords, escape_log, log_line


def written(text: str, *arguments: object, error: Exception | None = None) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.addFilter(EscapedRecords())
    logger = logging.Logger("a logger")
    logger.addHandler(handler)
    logger.error(text, *arguments, exc_info=error)
    return stream.getvalue()


def test_an_escape_sequence_is_written_as_text() -> None:
    assert written("site %s", "alpha\x1b[2J\x1b[H") == "ERROR site alpha\\x1b[2J\\x1b[H\n"


def test_a_line_in_a_text_cannot_be_taken_for_a_record() -> None:
    assert written("%s", "x\nERROR all is well") == "ERROR x\n  ERROR all is well\n"


def test_the_text_of_an_exception_is_escaped_in_its_traceback() -> None:
    shown = written("failed", error=ValueError("sub-01\x9b31m\nERROR forged"))
    assert "\n  ValueError: sub-01\\x9b31m\n  ERROR forged\n" in shown


def test_what_flower_logs_is_escaped(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger(FLOWER)
    before = list(logger.filters)
    escape_log()
    try:
        logger.propagate, propagated = True, logger.propagate
        with caplog.at_level(logging.INFO):
            logger.log(logging.INFO, "[RUN %s]", "\x1b]0;title\x07")
    finally:
        logger.propagate = propagated
        logger.filters[:] = before
        for handler in logging.getLogger().handlers:
            handler.filters[:] = [f for f in handler.filters if not isinstance(f, EscapedRecords)]
    assert caplog.messages == ["[RUN \\x1b]0;title\\x07]"]


def test_a_line_of_another_programs_log_is_shown_without_its_colours() -> None:
    assert log_line("\x1b[92mINFO \x1b[0m: a\x1b[2J\tb\r\n") == "INFO : a\\x1b[2J    b"
