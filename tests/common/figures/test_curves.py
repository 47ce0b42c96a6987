from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest

from common.figures.curves import Chart, Curve

SVG = "{http://www.w3.org/2000/svg}"


def chart(*curves: Curve, **changes: object) -> Chart:
    settings: dict[str, object] = {"title": "Dice", "y_label": "mean Dice", "levels": {}, **changes}
    return Chart(curves=curves, **settings)  # type: ignore[arg-type] # named by each test


def curve(label: str, *values: float | None, emphasis: bool = False) -> Curve:
    return Curve(label=label, rounds=tuple(range(len(values))), values=values, emphasis=emphasis)


def lines(svg: str) -> list[ET.Element]:
    """The drawn paths that carry a dash or a stroke, in order; refuses what is not XML."""
    root = ET.fromstring(svg)  # noqa: S314 # our own text
    return [p for p in root.iter(f"{SVG}path") if "stroke-width" in p.get("style", "")]


def test_the_drawing_refers_to_nothing_but_the_names_of_its_own_format() -> None:
    svg = chart(curve("north", 0.1, 0.2), levels={"threshold": 0.3}, marked_round=1).svg()

    addresses = set(re.findall(r"https?://[^\"' >]+", svg))
    assert {a for a in addresses if not a.startswith("http://www.w3.org/")} == set()
    assert re.findall(r'href="(?!#)', svg) == []
    assert "<script" not in svg


def test_two_drawings_of_one_chart_are_equal() -> None:
    drawn = chart(curve("north", 0.1, 0.2))
    assert drawn.svg() == drawn.svg()


def test_sites_differ_in_dash_as_well_as_in_colour() -> None:
    svg = chart(curve("a", 0.1, 0.2), curve("b", 0.2, 0.3), curve("c", 0.4, 0.5)).svg()

    styles = {p.get("style", "") for p in lines(svg) if "stroke-width: 1.4" in p.get("style", "")}
    dashes = {re.sub(r"stroke: #\w+;?", "", style) for style in styles}
    assert len(dashes) == 3


def test_two_lines_that_stand_out_are_distinguished_without_colour() -> None:
    svg = chart(curve("a", 0.1, 0.2, emphasis=True), curve("b", 0.2, 0.3, emphasis=True)).svg()

    styles = {p.get("style", "") for p in lines(svg) if "stroke-width: 2.6" in p.get("style", "")}
    assert len(styles) == 2


def test_a_gap_in_the_values_is_a_gap_in_the_line() -> None:
    def n_strokes(*values: float | None) -> int:
        paths = [p.get("d", "") for p in lines(chart(curve("a", *values)).svg())]
        return sum(path.count("M") for path in paths)

    assert n_strokes(0.1, 0.2, None, 0.3, 0.4) == n_strokes(0.1, 0.2, 0.25, 0.3, 0.4) + 1


@pytest.mark.parametrize("label", ["_hidden", "$not mathematics$", "a < b & c", "$5"])
def test_any_site_name_is_drawn(label: str) -> None:
    ET.fromstring(chart(curve(label, 0.5)).svg())  # noqa: S314 # our own text


def test_the_words_give_the_first_and_the_last_defined_value() -> None:
    drawn = chart(
        curve("east (unseen)", None, 0.25, 0.5, None),
        curve("west", 0.125),
        curve("south", None, None),
        levels={"east: FLAIR threshold": 0.2},
        marked_round=2,
    )

    assert drawn.in_words() == (
        "Dice, by round. east (unseen): 0.250 at round 1, 0.500 at round 2. "
        "west: 0.125 at round 0. east: FLAIR threshold: 0.200. Round 2 is marked."
    )


def test_what_begins_after_a_round_is_said_in_words() -> None:
    drawn = chart(curve("north", 0.5, 0.25), divided_after={1: "second network"})
    assert drawn.in_words().endswith("0.250 at round 1. After round 1: second network.")


def test_a_companion_has_the_colour_and_dash_of_the_curve_before_it_in_a_thinner_line() -> None:
    pair = (curve("a", 0.1, 0.2), dataclasses.replace(curve("b", 0.3, 0.4), companion=True))
    styles = [p.get("style", "") for p in lines(chart(*pair, curve("c", 0.5, 0.6)).svg())]

    def strokes(width: str) -> set[str]:
        drawn = [style for style in styles if f"stroke-width: {width}" in style]
        return {style.replace(width, "") for style in drawn if "fill: none" in style}

    assert strokes("0.8") & strokes("1.4")
    assert strokes("1.4") - strokes("0.8")  # the third curve has a style of its own


def test_a_chart_without_a_defined_value_is_empty() -> None:
    assert chart(curve("north", None, None)).is_empty
    assert chart().is_empty
    assert not chart(curve("north", None, 0.0)).is_empty


def test_a_curve_with_more_rounds_than_values_is_refused() -> None:
    with pytest.raises(ValueError, match="'north': 2 rounds, 1 values"):
        Curve(label="north", rounds=(0, 1), values=(0.5,))
