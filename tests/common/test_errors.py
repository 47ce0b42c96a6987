from __future__ import annotations

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import (
    SYSTEM_ADVICE,
    SiteDataError,
    printable,
    printable_lines,
    system_code,
    system_error_text,
)
from server.events.failure_advice import UNKNOWN, advice


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sub-01/anat/Größe x.nii.gz", "sub-01/anat/Größe x.nii.gz"),
        ("M\udcfcller", r"M\xfcller"),
        ("a\nb\x1b[31m", r"a\nb\x1b[31m"),
        ("left\u202eright", r"left\u202eright"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=[])))
def test_every_text_can_be_written_once_it_is_printable(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    shown.encode()


def test_the_text_of_an_error_can_be_printed_line_by_line() -> None:
    error = SiteDataError("M\udcfcller/a: want\nmore", code="x")
    assert (str(error), error.code) == ("M\\xfcller/a: want\nmore", "x")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk"),
        (errno.EDQUOT, "disk"),
        (errno.EMFILE, "open-files"),
        (errno.EACCES, "no-permission"),
        (errno.EROFS, "no-permission"),
        (errno.EIO, "disk-fault"),
        (errno.ESTALE, "disk-fault"),
        (errno.ENOENT, "not-there"),
        (errno.ENOSYS, "system"),
    ],
)
def test_what_the_system_refuses_is_told_as_what_it_is(number: int, code: str) -> None:
    error = OSError(number, os.strerror(number), "work/image.npy")
    assert system_code(error) == code
    assert system_error_text(error).startswith(f"work/image.npy: {os.strerror(number)}. ")


def test_an_error_without_a_file_names_none_and_a_file_of_odd_bytes_is_escaped() -> None:
    assert system_error_text(OSError(28, "No space left on device")).startswith("No space left")
    assert system_error_text(OSError("it is a folder")).startswith("it is a folder. ")
    assert system_error_text(OSError(2, "No such file", b"M\xfcller")).startswith(r"M\xfcller: ")


def test_every_code_of_the_system_has_advice_for_the_coordinator() -> None:
    assert [code for code in SYSTEM_ADVICE if advice(code) == UNKNOWN] == []


def test_lines_stay_lines_and_each_can_be_printed() -> None:
    assert printable_lines("a\x1b[2J\n\rb\u202e") == "a\\x1b[2J\n\\rb\\u202e"
