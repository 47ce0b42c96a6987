from __future__ import annotations

import pytest

from common.figures.reliability_chart import ReliabilityChart
from common.metrics.operating_curves import ReliabilityBin, reliability
from common.metrics.probability_counts import no_probabilities
from tests.common.figures.drawn import assert_readable, assert_stands_alone, laid_out, texts, x_of


def chart(*filled: tuple[int, int, float, float]) -> ReliabilityChart:
    """Ten bins, these filled: (bin, voxels, mean probability, lesion share)."""
    bins = reliability(no_probabilities())
    for b, n_voxels, mean, share in filled:
        bins[b] = ReliabilityBin(
            low=b / 10,
            high=(b + 1) / 10,
            n_voxels=n_voxels,
            mean_probability=mean,
            lesion_share=share,
        )
    return ReliabilityChart(title="Calibration", bins=bins, error=0.0123, suspected_error=0.25)


TWO = chart((0, 1_234_567, 0.02, 0.01), (9, 1, 0.95, 1.0))


def test_the_words_give_both_errors_and_the_bins_that_hold_voxels() -> None:
    assert TWO.in_words() == (
        "Calibration: share of lesion by predicted probability. ECE, all brain voxels: 0.0123. "
        "ECE, voxels with p >= 0.1: 0.2500. "
        "Probability 0 to 0.1: 1,234,567 voxels, mean 0.020, lesion share 0.010. "
        "Probability 0.9 to 1: 1 voxel, mean 0.950, lesion share 1.000."
    )


def test_both_errors_are_in_the_picture() -> None:
    [errors] = [text for text in texts(TWO) if "ECE" in text]
    assert "all brain voxels: 0.0123" in errors
    assert "p \N{GREATER-THAN OR EQUAL TO} 0.1: 0.2500" in errors


def test_an_undefined_error_is_called_so() -> None:
    drawn = ReliabilityChart(title="x", bins=TWO.bins, error=0.1, suspected_error=None)
    assert "p >= 0.1: undefined." in drawn.in_words()


def test_bins_without_voxels_have_no_point_and_are_counted_0() -> None:
    above, below = laid_out(TWO).axes
    assert x_of(above.lines[1]) == [0.02, 0.95]
    assert [text.get_text() for text in below.texts] == ["1.2 M", *["0"] * 8, "1"]


def test_a_bin_with_a_single_voxel_has_a_bar_on_the_logarithmic_axis() -> None:
    below = laid_out(TWO).axes[1]
    assert below.get_yscale() == "log"
    assert below.get_ylim()[0] < 1
    assert len(below.patches) == 2


def test_without_voxels_the_chart_is_empty_and_still_drawn() -> None:
    drawn = ReliabilityChart(
        title="x", bins=reliability(no_probabilities()), error=None, suspected_error=None
    )
    assert drawn.is_empty
    assert not TWO.is_empty
    assert_stands_alone(drawn)


@pytest.mark.parametrize(
    "drawn",
    [
        TWO,
        chart((0, 1, 0.0, 0.0)),
        chart(*((b, 10 ** (b + 1), b / 10 + 0.05, 1.0) for b in range(10))),
    ],
)
def test_nothing_overlaps_or_leaves_the_figure(drawn: ReliabilityChart) -> None:
    assert_readable(drawn)


def test_the_drawing_stands_alone_and_is_the_same_every_time() -> None:
    assert_stands_alone(TWO)
