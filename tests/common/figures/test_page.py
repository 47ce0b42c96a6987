from __future__ import annotations

import base64
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from common.figures.page import (
    data_size,
    number,
    png_uri,
    rendered_page,
    svg_uri,
    wall_time,
    write_page,
)


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        pytest.param(None, 3, "\N{EN DASH}", id="undefined"),
        pytest.param(0.0, 3, "0.000", id="zero is a value"),
        pytest.param(0.12345, 3, "0.123", id="rounded"),
        pytest.param(-0.0001, 3, "0.000", id="no negative zero"),
        pytest.param(-1.5, 1, "-1.5", id="a sign that means something"),
        pytest.param(12345.6, 1, "12,345.6", id="thousands"),
        pytest.param(7, 0, "7", id="a count"),
    ],
)
def test_number(value: float | None, digits: int, shown: str) -> None:
    assert number(value, digits) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "\N{EN DASH}"),
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (245.0, "4 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7830, "2 h 10 min"),
    ],
)
def test_wall_time(seconds: float | None, shown: str) -> None:
    assert wall_time(seconds) == shown


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [(None, "\N{EN DASH}"), (900, "0.9 kB"), (99_999, "100.0 kB"), (1_500_000, "1.5 MB")],
)
def test_data_size(size_bytes: float | None, shown: str) -> None:
    assert data_size(size_bytes) == shown


def test_an_image_address_holds_the_whole_image() -> None:
    for address in (png_uri(b"\x00<>"), svg_uri("\x00<>")):
        assert base64.b64decode(address.partition("base64,")[2]) == b"\x00<>"


def test_the_frame_forbids_scripts_and_addresses_outside_the_page() -> None:
    page = rendered_page("page.html.j2", package="common.figures", values={})

    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_value_the_template_wants_and_does_not_get_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'pictures' is undefined"):
        rendered_page("report.html.j2", package="server.report", values={})


def test_a_page_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_page(page, "old")
    write_page(page, "new µ")

    assert page.read_text(encoding="utf-8") == "new µ"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
