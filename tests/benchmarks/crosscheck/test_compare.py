from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.crosscheck.compare import COMPARISONS, differences, is_clear_of_the_edge, show

CLEAR = np.array([True, False])


def agreeing() -> tuple[dict[str, list[Any]], dict[str, dict[str, list[Any]]]]:
    """Two pairs on which every figure is 2.5 everywhere."""
    names = {each.ours for each in COMPARISONS}
    names |= {f"their {each.rebuilt}" for each in COMPARISONS if each.rebuilt}
    ours = {name: [2.5, 2.5] for name in names}
    theirs: dict[str, dict[str, list[Any]]] = {"MONAI": {}, "panoptica": {}}
    for each in COMPARISONS:
        theirs[each.peer][each.theirs] = [2.5, 2.5]
    return ours, theirs


def test_equal_figures_pass_without_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = agreeing()
    assert show(ours, theirs, CLEAR) == 0
    printed = capsys.readouterr().out
    assert "| Dice | MONAI | 0.0e+00 | 2 / 2 | 1 / 1 |  | agree |" in printed
    assert "(1)" not in printed


def test_a_difference_passes_only_with_the_peers_definition(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours, theirs = agreeing()
    ours["hausdorff_mm"] = [2.5, 3.0]
    assert show(ours, theirs, CLEAR) == 0  # rebuilt by their definition it is still 2.5
    printed = capsys.readouterr().out
    assert "| Hausdorff, mm | MONAI | 5.0e-01 | 1 / 2 | 1 / 1 | 0.0e+00 | (1), (2) |" in printed
    ours["their hausdorff_mm"] = [2.5, 2.6]
    assert show(ours, theirs, CLEAR) == 1
    shown = capsys.readouterr()
    assert "UNEXPLAINED" in shown.out
    assert "2 figures differ" in shown.err  # MONAI's and panoptica's


def test_a_figure_with_no_excuse_must_be_equal(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = agreeing()
    theirs["MONAI"]["dice"] = [2.5, 2.50001]
    assert show(ours, theirs, CLEAR) == 1
    assert "1 figures differ" in capsys.readouterr().err


def test_undefined_equals_only_undefined() -> None:
    apart, equal = differences([None, None, 1.0, 30.0], [None, 1.0, 1.0, 30.00002])
    assert apart.tolist()[:3] == [0.0, np.inf, 0.0]
    assert equal.tolist() == [True, False, True, True]  # 2e-5 of 30 is below 1e-6 of it


def test_a_voxel_on_a_face_of_the_image_is_not_clear_of_the_edge() -> None:
    mask = np.zeros((4, 5, 6), dtype=np.bool_)
    mask[2, 3, 4] = True
    assert is_clear_of_the_edge(mask)
    mask[2, 3, 5] = True
    assert not is_clear_of_the_edge(mask)
