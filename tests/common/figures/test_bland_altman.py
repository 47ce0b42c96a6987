from __future__ import annotations

import pytest

from common.figures.bland_altman import BlandAltman
from common.metrics.volume_agreement import VolumePoint
from tests.common.figures.drawn import (
    assert_readable,
    assert_stands_alone,
    laid_out,
    texts,
    x_of,
    y_of,
)


def point(name: str, mean_ml: float, difference_ml: float) -> VolumePoint:
    return VolumePoint(name=name, mean_ml=mean_ml, difference_ml=difference_ml)


def chart(
    *points: VolumePoint, bias_ml: float | None, limits_ml: tuple[float, float] | None = None
) -> BlandAltman:
    sites = {"north": points[:1], "south": points[1:]}
    return BlandAltman(title="Volume", sites=sites, bias_ml=bias_ml, limits_ml=limits_ml)


THREE = chart(
    point("sub-1", 5.0, 1.0),
    point("sub-2", 12.0, -4.0),
    point("sub-3", 30.0, 1.5),
    bias_ml=-0.5,
    limits_ml=(-6.5, 5.5),
)
ALIKE = chart(point("a", 4.0, 0.0), point("b", 4.0, 0.0), bias_ml=0.0, limits_ml=(0.0, 0.0))
ONE = chart(point("sub-1", 5.0, 0.25), bias_ml=0.25)


def test_the_words_give_bias_limits_and_the_largest_difference() -> None:
    assert THREE.in_words() == (
        "Volume: predicted minus reference lesion volume. 3 cases of 2 sites. "
        "Lower limit -6.50 mL. Bias -0.50 mL. Upper limit +5.50 mL. "
        "Largest difference: sub-2 of south, -4.00 mL."
    )


def test_bias_and_limits_are_lines_with_their_values() -> None:
    assert {"bias\n-0.50 mL", "lower limit\n-6.50 mL", "upper limit\n+5.50 mL"} <= set(texts(THREE))
    [axes] = laid_out(THREE).axes
    across = {y_of(line)[0] for line in axes.lines if x_of(line) == [0, 1]}
    assert across == {-6.5, -0.5, 0, 5.5}


def test_a_single_case_has_a_bias_and_no_limits() -> None:
    assert "limit" not in ONE.in_words()
    assert not any("limit" in text for text in texts(ONE))


def test_cases_that_all_agree_are_not_drawn_on_an_axis_of_rounding_errors() -> None:
    [axes] = laid_out(ALIKE).axes
    low, high = axes.get_ylim()
    assert high - low >= 1


def test_without_a_case_the_chart_is_empty_and_still_drawn() -> None:
    drawn = BlandAltman(title="x", sites={"north": []}, bias_ml=None, limits_ml=None)
    assert drawn.is_empty
    assert not ONE.is_empty
    assert_stands_alone(drawn)


@pytest.mark.parametrize(
    "drawn",
    [
        pytest.param(THREE, id="three cases"),
        pytest.param(ONE, id="one case"),
        pytest.param(ALIKE, id="all alike, three labels at one height"),
        pytest.param(
            BlandAltman(
                title="x",
                sites={
                    f"$hospital$ < of_a & very-very-long-name-{i}": [point("s", i, 900.0 * i)]
                    for i in range(20)
                },
                bias_ml=8550.0,
                limits_ml=(8549.0, 8551.0),
            ),
            id="twenty sites, limits close to the bias",
        ),
    ],
)
def test_nothing_overlaps_or_leaves_the_figure(drawn: BlandAltman) -> None:
    assert_readable(drawn)


def test_the_drawing_stands_alone_and_is_the_same_every_time() -> None:
    assert_stands_alone(THREE)
