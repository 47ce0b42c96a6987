from __future__ import annotations

import pytest
import torch

from common.learning.losses.batch_dice import batch_dice_loss
from common.recipe.loss import BatchDiceForm


@pytest.mark.parametrize("form", ["corrected", "literal"])
def test_outputs_batch_and_space_are_summed_together(form: BatchDiceForm) -> None:
    # two samples of two outputs of two voxels, unequal everywhere
    p = torch.tensor([[[0.5, 0.2], [0.9, 0.3]], [[0.1, 0.4], [0.8, 0.6]]], dtype=torch.float64)
    t = torch.tensor([[[1, 0], [1, 0]], [[0, 0], [1, 1]]])
    # overlap 0.5 + 0.9 + 0.8 + 0.6 = 2.8; sum p = 0.7 + 1.2 + 0.5 + 1.4 = 3.8; sum t = 4
    loss = batch_dice_loss(
        torch.logit(p)[..., None, None], t[..., None, None], form=form, epsilon=1e-5
    )
    assert loss.item() == pytest.approx(-2 * 2.8 / 7.8, abs=1e-5)


@pytest.mark.parametrize(
    ("form", "empty", "perfect"),
    [
        # -2 e / e; -2 (e + 6) / (e + 12)
        pytest.param("literal", -2.0, -1.0, id="literal"),
        # -2 (e / 2) / e; -2 (e / 2 + 6) / (e + 12)
        pytest.param("corrected", -1.0, -1.0, id="corrected"),
    ],
)
def test_empty_left_empty_beats_a_perfect_match_as_printed_and_not_as_corrected(
    form: BatchDiceForm, empty: float, perfect: float
) -> None:
    nothing = torch.zeros(1, 2, 3, 4, 1)
    some = nothing.clone()
    some[..., :2, :3, :] = 1  # 2 outputs of 2 * 3 voxels: overlap 12 of 24
    assert batch_dice_loss(
        -100 + nothing, nothing, form=form, epsilon=1e-5
    ).item() == pytest.approx(empty, abs=1e-6)
    assert batch_dice_loss(200 * some - 100, some, form=form, epsilon=1e-5).item() == pytest.approx(
        perfect, abs=1e-5
    )


def test_the_literal_form_is_worked_to_its_epsilon() -> None:
    # one voxel, t = 1, p = 0.25: -2 (1e-5 + 0.25) / (1e-5 + 1.25)
    logits = torch.logit(torch.tensor([[0.25]], dtype=torch.float64))
    loss = batch_dice_loss(logits, torch.ones(1, 1), form="literal", epsilon=1e-5)
    assert loss.item() == pytest.approx(-2 * 0.25001 / 1.25001, abs=1e-12)
    corrected = batch_dice_loss(logits, torch.ones(1, 1), form="corrected", epsilon=1e-5)
    assert corrected.item() == pytest.approx(-2 * 0.250005 / 1.25001, abs=1e-12)


def test_the_corrected_epsilon_is_in_voxels_a_patch_and_output() -> None:
    # 2 patches of 3 outputs: e = 6 * 0.5 = 3; one of 6 voxels is lesion, p = 1/2 everywhere:
    # -2 (1.5 + 0.5) / (3 + 1 + 3)
    truth = torch.zeros(2, 3)
    truth[0, 0] = 1
    loss = batch_dice_loss(torch.zeros(2, 3), truth, form="corrected", epsilon=0.5)
    assert loss.item() == pytest.approx(-4 / 7)


def test_the_loss_of_a_batch_is_not_the_mean_over_its_halves() -> None:
    # p = 1/2: first half 1 lesion voxel of 2, second 2 of 2
    logits, truth = torch.zeros(2, 1, 2), torch.tensor([[[1, 0]], [[1, 1]]])
    # halves -2 * 0.5 / 2 = -0.5 and -2 * 1 / 3 = -0.667: mean -0.583; whole -2 * 1.5 / 5 = -0.6
    halves = [
        batch_dice_loss(logits[[b]], truth[[b]], form="corrected", epsilon=1e-5).item()
        for b in (0, 1)
    ]
    assert halves == pytest.approx([-0.5, -2 / 3], abs=1e-5)
    assert batch_dice_loss(logits, truth, form="corrected", epsilon=1e-5).item() == pytest.approx(
        -0.6, abs=1e-5
    )
