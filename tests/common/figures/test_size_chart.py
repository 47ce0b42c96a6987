from __future__ import annotations

import math

from matplotlib.patches import Rectangle

from common.figures.size_chart import SizeChart
from common.metrics.size_classes import SizeClass, by_size
from tests.common.figures.drawn import assert_readable, assert_stands_alone, laid_out, texts


def size(
    low_mm3: float, high_mm3: float, *, found: tuple[int, int], right: tuple[int, int]
) -> SizeClass:
    """A class with (detected, reference) and (confirmed, predicted) lesions."""
    return SizeClass(
        low_mm3=low_mm3,
        high_mm3=high_mm3,
        n_detected=found[0],
        n_reference=found[1],
        n_confirmed=right[0],
        n_predicted=right[1],
    )


CHART = SizeChart(
    title="Lesions found",
    classes=[
        size(0, 10, found=(3, 12), right=(4, 5)),
        size(10, 50, found=(0, 0), right=(0, 2)),
        size(50, math.inf, found=(7, 7), right=(0, 0)),
    ],
)


def test_the_words_give_every_share_with_its_counts() -> None:
    assert CHART.in_words() == (
        "Lesions found, by lesion size in mm3. "
        "<= 10: sensitivity 0.25 (3 of 12 reference lesions), PPV 0.80 (4 of 5 predicted lesions). "
        "10-50: sensitivity undefined (no reference lesion), PPV 0.00 (0 of 2 predicted lesions). "
        "> 50: sensitivity 1.00 (7 of 7 reference lesions), PPV undefined (no predicted lesion)."
    )


def test_counts_stand_under_each_class_and_above_each_bar() -> None:
    found = texts(CHART)
    assert "\N{LESS-THAN OR EQUAL TO} 10 mm\N{SUPERSCRIPT THREE}\n12 reference\n5 predicted" in (
        found
    )
    assert {"0.25\n3", "0.80\n4", "0.00\n0", "1.00\n7"} <= set(found)


def test_an_undefined_share_is_an_empty_slot_and_no_bar_of_height_0() -> None:
    [axes] = laid_out(CHART).axes
    heights = [p.get_height() for p in axes.patches if isinstance(p, Rectangle)]
    assert heights == [0.25, 0.8, 0.0, 1.0]
    assert texts(CHART).count("none") == 2


def test_the_two_kinds_of_bar_differ_in_hatch() -> None:
    [axes] = laid_out(CHART).axes
    assert [bool(patch.get_hatch()) for patch in axes.patches] == [False, True, True, False]


def test_without_a_lesion_the_chart_is_empty_and_still_drawn() -> None:
    drawn = SizeChart(title="none", classes=by_size([]))
    assert drawn.is_empty
    assert not CHART.is_empty
    assert_stands_alone(drawn)
    assert_readable(drawn)


def test_large_counts_do_not_overlap() -> None:
    counts = {"found": (60_000, 90_000), "right": (58_000, 120_000)}
    classes = [
        size(low, low + 10, found=counts["found"], right=counts["right"]) for low in range(5)
    ]
    drawn = SizeChart(title="many", classes=classes)
    assert_readable(drawn)


def test_the_drawing_stands_alone_and_is_the_same_every_time() -> None:
    assert_stands_alone(CHART)
