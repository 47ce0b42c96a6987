from __future__ import annotations

import pytest
import torch

from common.learning.losses.site_loss import site_loss
from common.learning.networks.site_head import build_site_head
from server.events.history import RunHistory
from server.events.round_history import RoundHistory
from server.report.collapsed_head import head_collapsed, head_has_collapsed

N_SITES = 3


def spread_of(answers: torch.Tensor) -> float:
    """Standard deviation over the patches, mean over the outputs."""
    return float(answers.std(dim=0, correction=0).mean())


def test_a_head_that_names_every_site_right_has_not_collapsed_though_it_is_constant_at_each() -> (
    None
):
    """At one site its spread is 0; over three sqrt(1 / 3 * 2 / 3) = 0.471."""
    of_sites = [torch.eye(N_SITES)[site].repeat(5, 1) for site in range(N_SITES)]
    assert [spread_of(answers) for answers in of_sites] == [0, 0, 0]
    spread = spread_of(torch.cat(of_sites))
    assert spread == pytest.approx(2**0.5 / 3)
    assert not head_collapsed(spread, N_SITES)


@pytest.mark.parametrize("answer", [[1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0]])
def test_a_head_with_one_answer_for_all_sites_has_collapsed(answer: list[float]) -> None:
    of_sites = [torch.tensor(answer).repeat(5, 1)] * N_SITES
    assert head_collapsed(spread_of(torch.cat(of_sites)), N_SITES)


def test_the_alarm_fires_on_a_head_that_was_trained_with_uniform() -> None:
    """And not before: an untrained head's answers differ between features that differ."""
    generator = torch.Generator().manual_seed(0)
    head = build_site_head(n_features=8, n_sites=N_SITES, seed=1)
    centres = 3 * torch.randn(N_SITES, 1, 8, generator=generator)
    features = (centres + torch.randn(N_SITES, 16, 8, generator=generator)).reshape(-1, 8)
    sites = torch.arange(N_SITES).repeat_interleave(16)

    def spread() -> float:
        with torch.no_grad():
            return spread_of(torch.softmax(head(features), dim=1))

    assert not head_collapsed(spread(), N_SITES)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    for _ in range(200):
        optimizer.zero_grad()
        loss = site_loss(head(features), name="uniform", sites=sites, generator=generator)
        loss.backward()  # type: ignore[no-untyped-call] # torch's own
        optimizer.step()
    assert head_collapsed(spread(), N_SITES)


def test_a_head_of_one_output_cannot_collapse() -> None:
    assert not head_collapsed(0.0, 1)


def test_the_last_round_that_has_a_spread_counts() -> None:
    """Of three outputs 0.02 * sqrt(2) / 3 = 0.0094 is the least spread."""
    history = RunHistory()
    assert not head_has_collapsed(history)
    found = []
    for index, spread in ((1, 0.5), (2, 0.009), (3, None), (4, 0.01)):
        of_round = RoundHistory("training", index)
        of_round.head_spread_all, of_round.n_head_outputs = spread, 3
        history.rounds["training", index] = of_round
        found.append(head_has_collapsed(history))
    assert found == [False, True, True, False]
