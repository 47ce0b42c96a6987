from __future__ import annotations

import pytest
import torch

from common.learning.losses.full_precision import full_precision


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_becomes_single_and_double_stays(given: torch.dtype, expected: torch.dtype) -> None:
    logits, truth = full_precision(torch.tensor([[-1.5]], dtype=given), torch.tensor([[True]]))
    assert (logits.dtype, truth.dtype) == (expected, expected)
    assert (logits.item(), truth.item()) == (-1.5, 1)


def test_shapes_that_torch_would_broadcast_are_a_mistake() -> None:
    with pytest.raises(AssertionError, match="differ"):
        full_precision(torch.zeros(2, 5, 3, 3, 3), torch.zeros(2, 1, 3, 3, 3))
