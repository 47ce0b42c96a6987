from __future__ import annotations

import pytest

from common.metrics.volume_agreement import VolumePoint, volume_agreement


def case(
    name: str, reference_mm3: float | None, predicted_mm3: float
) -> tuple[str, dict[str, float | None]]:
    return name, {"reference_volume_mm3": reference_mm3, "predicted_volume_mm3": predicted_mm3}


def test_bias_and_limits_are_those_of_predicted_minus_reference() -> None:
    agreement = volume_agreement(
        [case("a", 10_000.0, 11_000.0), case("b", 4_000.0, 1_000.0), case("c", 2_000.0, 4_000.0)]
    )
    # differences 1, -3, 2 mL: mean 0, variance (1 + 9 + 4) / 2 = 7
    assert agreement.n == 3
    assert agreement.bias_ml == pytest.approx(0.0)
    assert agreement.limits_ml == pytest.approx((-1.96 * 7**0.5, 1.96 * 7**0.5))
    assert agreement.points == (
        VolumePoint(name="a", mean_ml=10.5, difference_ml=1.0),
        VolumePoint(name="b", mean_ml=2.5, difference_ml=-3.0),
        VolumePoint(name="c", mean_ml=3.0, difference_ml=2.0),
    )


def test_what_is_drawn_into_a_lesion_free_scan_counts_in_full() -> None:
    agreement = volume_agreement([case("free", None, 3_000.0), case("b", 1_000.0, 0.0)])
    # differences 3 and -1 mL: mean 1, standard deviation sqrt(4 + 4) = 2.83
    assert agreement.bias_ml == pytest.approx(1.0)
    assert agreement.limits_ml == pytest.approx((1 - 1.96 * 8**0.5, 1 + 1.96 * 8**0.5))


def test_one_case_has_a_bias_and_no_limits() -> None:
    agreement = volume_agreement([case("a", 1_000.0, 500.0)])
    assert agreement.bias_ml == -0.5
    assert agreement.limits_ml is None


def test_no_case_has_neither() -> None:
    assert volume_agreement([]).bias_ml is None
    assert volume_agreement([]).limits_ml is None
