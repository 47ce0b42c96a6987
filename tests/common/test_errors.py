from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SiteDataError, printable, printable_lines


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


def test_lines_stay_lines_and_each_can_be_printed() -> None:
    assert printable_lines("a\x1b[2J\n\rb\u202e") == "a\\x1b[2J\n\\rb\\u202e"
