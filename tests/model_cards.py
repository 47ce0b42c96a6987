"""A model card that says all it must, of whatever model."""

from __future__ import annotations

from common.model_file import RESEARCH_USE, Model


def card_of(model: Model) -> str:
    return f"""# Toy lesions

{RESEARCH_USE}

## Trained on

Two toy sites.

## Masks left out

None: no toy is evaluated.

## Command

`lesionfed simulate --recipe {model.recipe.name}`, recipe {model.recipe.sha256()}, commit 0a1b2c3.

## Figures

Dice 0.5 (0.4 to 0.6).

## Limits

Ellipsoids.

## Licence

Apache-2.0.

## Attribution

Nobody.
"""
