"""How much of the hospital's machine a recipe from the coordinator may ask for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from common.errors import PolicyRefused
from common.recipe.network import CascadeSettings, UNetSettings
from common.recipe.recipe import Recipe
from common.settings import Settings

AtLeastOne = Annotated[int, Field(ge=1)]


class Limits(Settings):
    """Set by the hospital; every recipe that ships stays far below what is here by default."""

    threads: AtLeastOne = 64
    """CPU threads."""
    batch_size: AtLeastOne = 1024
    """Patches of one optimizer step."""
    batch_voxels: AtLeastOne = 1 << 25
    """Voxels of all patches of one step, of each channel; 64 patches of 80 x 80 x 80."""
    steps: AtLeastOne = 20_000
    """Optimizer steps of one round."""
    width: AtLeastOne = 1024
    """Channels of a network's widest layer."""

    def require_within(self, recipe: Recipe) -> None:
        """Nothing, or PolicyRefused that names everything of the recipe that is too much here."""
        faults = [
            f"{key} = {asked}, and this site allows {getattr(self, limit)} (limits.{limit})"
            for key, limit, asked in _asked(recipe)
            if asked > getattr(self, limit)
        ]
        if faults:
            raise _refused("; ".join(faults))

    def require_steps(self, steps: int) -> None:
        """Nothing, or PolicyRefused where a round has more optimizer steps than are allowed."""
        if steps > self.steps:
            raise _refused(
                f"{steps} optimizer steps in a round, and this site allows {self.steps} "
                "(limits.steps)"
            )


def _asked(recipe: Recipe) -> Iterator[tuple[str, str, int]]:
    """Key of the recipe, name of the limit, and how much of it the recipe asks for."""
    sampling, lesion_wise, network = recipe.sampling, recipe.loss.lesion_wise, recipe.network
    patch = math.prod(sampling.patch_shape)
    yield "compute.threads", "threads", recipe.compute.threads
    yield "sampling.batch_size", "batch_size", sampling.batch_size
    size = "sampling.batch_size x sampling.patch_shape"
    yield size, "batch_voxels", sampling.batch_size * patch
    if isinstance(recipe.optimizer.steps, int):
        yield "optimizer.steps", "steps", recipe.optimizer.steps
    if lesion_wise is not None:
        yield "loss.lesion_wise.widths", "width", max(lesion_wise.widths)
    if isinstance(network, UNetSettings):
        yield "network.widths", "width", max(network.widths)
    elif not isinstance(network, CascadeSettings):
        yield "network.features", "width", network.features


def _refused(what: str) -> PolicyRefused:
    return PolicyRefused(
        f"the recipe asks for more than this site's [limits] allow: {what}. Raise the limit in "
        "site.toml if the hospital agrees, or ask the coordinator for a smaller recipe.",
        code="site-limits",
    )
