from __future__ import annotations

import pytest

from common.figures.threshold_chart import ThresholdChart, ThresholdLine
from tests.common.figures.drawn import assert_readable, assert_stands_alone, laid_out, texts, x_of

CHART = ThresholdChart(
    title="Validation sites",
    thresholds=(0.25, 0.5, 0.75),
    chosen=0.5,
    lines=[
        ThresholdLine(label="mean Dice", values=(0.5, 0.6, 0.55)),
        ThresholdLine(label="mean lesion F1", values=(0.45, 0.4, None)),
        ThresholdLine(label="nothing", values=(None, None, None)),
    ],
)


def test_the_words_give_the_best_and_the_chosen_threshold_of_every_line() -> None:
    assert CHART.in_words() == (
        "Validation sites, by threshold. mean Dice: highest 0.600 at 0.5, 0.600 at the chosen 0.5. "
        "mean lesion F1: highest 0.450 at 0.25, 0.400 at the chosen 0.5. nothing: undefined. "
        "Chosen: 0.5."
    )


def test_the_chosen_threshold_is_a_line_with_its_value() -> None:
    assert "chosen 0.5" in texts(CHART)
    [axes] = laid_out(CHART).axes
    assert x_of(axes.lines[-1]) == [0.5, 0.5]


def test_without_a_choice_none_is_marked() -> None:
    drawn = ThresholdChart(title="x", thresholds=CHART.thresholds, lines=CHART.lines)
    assert not any("chosen" in text for text in texts(drawn))
    assert "chosen" not in drawn.in_words().lower()


def test_a_chart_without_a_value_is_empty_and_still_drawn() -> None:
    for lines in ([], [CHART.lines[2]]):
        drawn = ThresholdChart(title="x", thresholds=CHART.thresholds, lines=lines)
        assert drawn.is_empty
        assert_stands_alone(drawn)
    assert not CHART.is_empty


def test_a_line_with_other_thresholds_is_refused() -> None:
    line = ThresholdLine(label="short", values=(0.5,))
    with pytest.raises(ValueError, match="line 'short': 3 thresholds, 1 values"):
        ThresholdChart(title="x", thresholds=(0.1, 0.2, 0.3), lines=[line])


@pytest.mark.parametrize("chosen", [0.05, 0.95])
def test_twenty_lines_with_long_names_are_drawn(chosen: float) -> None:
    lines = [
        ThresholdLine(label=f"mean Dice, $hospital$ < very-very-long-name-{i}", values=(0, i / 20))
        for i in range(20)
    ]
    drawn = ThresholdChart(title="x", thresholds=(0.05, 0.95), chosen=chosen, lines=lines)
    assert_readable(drawn)


def test_the_drawing_stands_alone_and_is_the_same_every_time() -> None:
    assert_stands_alone(CHART)
