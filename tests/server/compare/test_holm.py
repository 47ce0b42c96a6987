from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.compare.holm import holm


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        # sorted 0.005, 0.01, 0.03, 0.04: x4 = 0.02, x3 = 0.03, x2 = 0.06, x1 = 0.04 -> 0.06
        pytest.param([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02], id="out of order"),
        pytest.param([0.6, 0.7], [1.0, 1.0], id="never above 1"),
        pytest.param([0.01, None, 0.04], [0.02, None, 0.04], id="an undefined one is no test"),
        pytest.param([0.02, 0.02], [0.04, 0.04], id="equal ones stay equal"),
        pytest.param([], [], id="none"),
    ],
)
def test_holm(p_values: list[float | None], expected: list[float | None]) -> None:
    corrected = holm(p_values)
    assert [None if p is None else round(p, 12) for p in corrected] == expected


@given(st.lists(st.floats(0, 1), max_size=8))
def test_a_corrected_p_is_not_smaller_and_keeps_the_order(p_values: list[float]) -> None:
    pairs = sorted(zip(p_values, [p for p in holm(p_values) if p is not None], strict=True))
    assert all(before <= after <= 1 for before, after in pairs)
    assert [after for _, after in pairs] == sorted(after for _, after in pairs)
