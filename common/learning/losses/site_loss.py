"""The three domain regularizations of Aslani 2020, and the one that a trained head needs.

Head and encoder minimize the same of the three. Where a site holds one index only, a head with a
constant answer satisfies `uniform` and `random`, and a constant low probability for its own site
satisfies `pearson`: then the encoder learns nothing from them.
"""

from __future__ import annotations

from typing import Literal

import torch

EPSILON = 1e-6

SiteLossName = Literal["pearson", "uniform", "random"]


def site_loss(
    logits: torch.Tensor, *, name: SiteLossName, sites: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """The named loss of a batch, a scalar, before its weight lambda.

    logits       (B, n_sites), before the softmax; at least two sites
    sites        (B,), int64: each sample's true site, in [0, n_sites); in a federation all are one
    generator    draws the labels of `random`, on the CPU; the others leave it alone
    Source       Aslani et al. 2020.
    """
    if name == "pearson":
        return pearson(logits, sites)
    if name == "uniform":
        return uniform(logits)
    return random(logits, generator)


def pearson(logits: torch.Tensor, sites: torch.Tensor) -> torch.Tensor:
    """Correlation over the sites of probabilities and one-hot truth, mean over the batch.

    In [-1, 1]; -1 is the aim: the true site is the least likely, the others alike.
    Chosen   1e-6 is added to the squared length of the centred probabilities, so that a uniform
             answer gives 0 and a finite gradient.

    Two numbers correlate with 1 or -1 whatever they are: with two sites there is no gradient.
    """
    probability = torch.softmax(logits, dim=1)
    truth = torch.nn.functional.one_hot(sites, probability.shape[1]).to(probability)
    found = probability - probability.mean(dim=1, keepdim=True)
    wanted = truth - truth.mean(dim=1, keepdim=True)
    lengths = (found.square().sum(dim=1) + EPSILON) * wanted.square().sum(dim=1)
    return ((found * wanted).sum(dim=1) / lengths.sqrt()).mean()


def uniform(logits: torch.Tensor) -> torch.Tensor:
    """Cross-entropy to the same probability for every site; at least log(n_sites)."""
    return -torch.log_softmax(logits, dim=1).mean()


def random(logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Cross-entropy to a site index drawn for each sample, every site alike.

    Chosen   an index is drawn, the batch's labels are not shuffled: at one site a shuffle gives
             the true labels back.
    """
    n_samples, n_sites = logits.shape
    drawn = torch.randint(n_sites, (n_samples,), generator=generator).to(logits.device)
    return torch.nn.functional.cross_entropy(logits, drawn)


def confusion(logits: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Cross-entropy to the same probability for every known site; at least log of their number.

    logits   (B, n_sites), of a head that tells the known sites apart
    known    (K,), their indices: of the others the head knows nothing
    Source   Tzeng et al. 2015, arXiv:1510.02192 (domain confusion).
    """
    return uniform(logits[:, known])
