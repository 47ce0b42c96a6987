from __future__ import annotations

from common.figures.threshold_boxes import MethodBoxes, ThresholdBoxes
from tests.common.figures.drawn import assert_readable, assert_stands_alone, texts

CHART = ThresholdBoxes(
    title="V-F1 by decision threshold",
    metric="V-F1",
    methods=[
        MethodBoxes(
            label="dice",
            values={0.3: (0.2, 0.4, 0.9), 0.4: (0.5, 0.5, 0.1), 0.7: (0.5, 0.5), 0.9: ()},
        ),
        MethodBoxes(label="bce", values={}),
    ],
)


def test_the_words_give_the_highest_median_of_every_method() -> None:
    # medians 0.4, 0.5 and 0.5: of the equal ones 0.4 lies nearer to 0.5 than 0.7
    assert CHART.in_words() == (
        "V-F1 by decision threshold. dice: highest median 0.500 at 0.4, lowest 0.400. "
        "bce: undefined."
    )


def test_each_method_has_a_panel_with_its_name() -> None:
    drawn = texts(CHART)
    assert "dice" in drawn
    assert "bce: no case with a value" in drawn


def test_a_chart_without_a_case_is_empty_and_still_drawn() -> None:
    for methods in ([], [CHART.methods[1]]):
        drawn = ThresholdBoxes(title="x", metric="V-F1", methods=methods)
        assert drawn.is_empty
        assert_stands_alone(drawn)
    assert not CHART.is_empty


def test_four_methods_with_long_names_are_readable() -> None:
    values = {round(0.05 * step, 2): (0.1, step / 20) for step in range(1, 20)}
    methods = [
        MethodBoxes(label=f"$focal$ tversky with a very, very, very long name {i}", values=values)
        for i in range(4)
    ]
    drawn = ThresholdBoxes(title="x", metric="V-F1", methods=methods)
    assert_readable(drawn)
    assert_stands_alone(drawn)
