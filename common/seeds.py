"""One seed from the recipe, and every other seed derived from it."""

from __future__ import annotations

import hashlib


def derived_seed(root: int, *labels: str | int) -> int:
    """A seed in [0, 2**63) for one purpose, the same on every machine.

    root     the recipe's seed
    labels   what the seed is for, such as ("train", "site-a", 3); their order counts

    SHA-256 over the labels, so that no two purposes share a stream and adding one disturbs none.
    """
    text = "\x1f".join([str(root), *(f"{type(label).__name__}:{label}" for label in labels)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
