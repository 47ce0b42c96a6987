from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from common.errors import WireError
from common.learning.control_variates import Correction, variates_after


def of(value: float) -> dict[str, np.ndarray]:
    return {"w": np.array([value], np.float32)}


def local_round(
    start: float, centre: float, all_sites: float, own: float, *, n_steps: int, rate: float
) -> tuple[float, float]:
    """Where SGD with the correction ends on (w - centre)^2 / 2, and the site's new variate."""
    w = nn.Parameter(torch.tensor([start]))
    correction = Correction({"w": w}, of(all_sites), of(own))
    for _ in range(n_steps):
        w.grad = (w - centre).detach()
        correction.add()
        with torch.no_grad():
            w.sub_(rate * w.grad)
    end = float(w.detach())
    after = variates_after(
        of(own), of(all_sites), change=of(end - start), n_steps=n_steps, learning_rate=rate
    )
    return end, float(after["w"][0])


def test_a_variate_becomes_the_mean_gradient_of_the_round() -> None:
    """From 0 towards 4 with rate 1/2: gradients -4, -2; w is 2, then 3; their mean is -3."""
    end, variate = local_round(0.0, 4.0, 0.0, 0.0, n_steps=2, rate=0.5)
    assert end == pytest.approx(3)
    assert variate == pytest.approx(-3)


def test_a_correction_is_taken_out_of_the_variate_again() -> None:
    """c - c_i = 1 - (-1) = 2: steps -4 + 2, then -3 + 2; w is 1, then 1.5; gradients -4, -3."""
    end, variate = local_round(0.0, 4.0, 1.0, -1.0, n_steps=2, rate=0.5)
    assert end == pytest.approx(1.5)
    assert variate == pytest.approx(-3.5)


def test_two_sites_that_differ_come_to_the_minimum_of_their_mean_however_many_steps_they_take() -> (
    None
):
    """Sites (w + 2)^2 / 2 with 9 steps a round and (w - 4)^2 / 2 with 1: the minimum is at 1.

    The plain mean stops where 9 steps' way down and one's are equal, left of 0.
    """

    def ends(corrected: bool) -> float:
        w, c, own = 5.0, 0.0, [0.0, 0.0]
        for _ in range(300):
            found = [
                local_round(w, centre, c, own[i], n_steps=n, rate=0.1)
                for i, (centre, n) in enumerate(((-2.0, 9), (4.0, 1)))
            ]
            w = float(np.mean([end for end, _ in found]))
            if corrected:
                c += float(np.mean([after - own[i] for i, (_, after) in enumerate(found)]))
                own = [after for _, after in found]
        return w

    assert ends(corrected=True) == pytest.approx(1, abs=1e-3)
    assert ends(corrected=False) < 0


def test_a_part_that_does_not_train_is_not_corrected() -> None:
    w = nn.Parameter(torch.tensor([1.0]))
    Correction({"w": w}, of(1.0), of(0.0)).add()
    assert w.grad is None


@pytest.mark.parametrize(
    ("variates", "text"),
    [
        ({}, r"missing or unknown: \['w'\]"),
        ({"w": np.zeros(2, np.float32)}, r"want w as float32 \(1,\), got float32 \(2,\)"),
        ({"w": np.zeros(1)}, r"want w as float32 \(1,\), got float64"),
        ({"w": np.array([np.nan], np.float32)}, "w is not finite"),
    ],
)
def test_variates_that_do_not_fit_are_refused(variates: dict[str, np.ndarray], text: str) -> None:
    w = nn.Parameter(torch.tensor([1.0]))
    with pytest.raises(WireError, match=text):
        Correction({"w": w}, variates, of(0.0))
    with pytest.raises(WireError, match=text):
        Correction({"w": w}, of(0.0), variates)
