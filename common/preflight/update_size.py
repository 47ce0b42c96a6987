"""How much travels, one way, in a round."""

from __future__ import annotations

from common.recipe.recipe import Recipe


def update_size_bytes(recipe: Recipe) -> int:
    """Bytes of the recipe's network as it travels: every parameter and buffer at its own width.

    The site head, some thousand values a site, is left out.
    """
    from common.learning.model import new_network  # torch takes seconds

    state = new_network(recipe).state_dict()
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())
