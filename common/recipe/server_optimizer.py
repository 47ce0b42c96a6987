"""What the coordinator does with the mean of the sites' changes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from common.settings import Settings

Rate = Annotated[float, Field(gt=0, le=10)]
Memory = Annotated[float, Field(ge=0, lt=1)]


class PlainServer(Settings):
    """The mean change is added to the parameters (FedAvg)."""

    name: Literal["none"] = "none"


class MomentumServer(Settings):
    """FedAvgM (Hsu 2019, arXiv:1909.06335): v = beta v + change; parameters + learning_rate v."""

    name: Literal["momentum"]
    learning_rate: Rate = 1.0
    """The paper's."""
    beta: Memory = 0.9
    """The paper's."""


class AdamServer(Settings):
    """FedAdam (Reddi 2021, arXiv:2003.00295, algorithm 2), without a correction of the bias.

    m = beta_1 m + (1 - beta_1) change; v = beta_2 v + (1 - beta_2) change^2;
    parameters + learning_rate m / (sqrt(v) + tau)
    """

    name: Literal["adam"]
    learning_rate: Rate = 0.01
    """Chosen: the paper tunes it for each task."""
    beta_1: Memory = 0.9
    """The paper's."""
    beta_2: Memory = 0.99
    """The paper's."""
    tau: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """The paper's. v begins with its square."""


ServerOptimizer = Annotated[PlainServer | MomentumServer | AdamServer, Field(discriminator="name")]
