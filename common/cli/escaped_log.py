"""Log lines that say no more than they are: no escape sequence, no line that another one forged."""

from __future__ import annotations

import logging
import re
import traceback

from common.errors import printable, printable_lines

FLOWER = "flwr"
"""The logger of all that Flower says; it quotes what came from the other side."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class EscapedRecords(logging.Filter):
    """Lets every record pass, its text and its traceback escaped.

    Lines after the first are indented, so that none of them can be taken for a record.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not getattr(record, "is_escaped", False):
            record.is_escaped = True
            record.msg, record.args = _indented(record.getMessage()), ()
            if record.exc_info:
                trace = "".join(traceback.format_exception(*record.exc_info))
                record.exc_text = "  " + _indented(trace)
        return True


def escape_log() -> None:
    """From now on everything that this process logs is escaped, what Flower logs too."""
    escaped = EscapedRecords()
    logging.getLogger(FLOWER).addFilter(escaped)
    for handler in logging.getLogger().handlers:
        handler.addFilter(escaped)


def log_line(line: str) -> str:
    """One line of a log that another program wrote, as it may be shown; without its colours."""
    return printable(_COLOURS.sub("", line).rstrip("\r\n").replace("\t", "    "))


def _indented(text: str) -> str:
    return printable_lines(text.rstrip("\n").replace("\t", "    ")).replace("\n", "\n  ")
