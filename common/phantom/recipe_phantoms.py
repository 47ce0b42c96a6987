"""The phantoms that a recipe needs: brains once, brains at two dates, or spinal cords."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from common.errors import ConfigError
from common.phantom.consortium import OnSubject, make_consortium
from common.phantom.cord_consortium import SPACING_MM as CORD_SPACING_MM
from common.phantom.cord_consortium import make_cord_consortium
from common.phantom.longitudinal import make_longitudinal_consortium
from common.recipe.recipe import Recipe

Kind = Literal["brain", "two dates", "cord"]
MODALITIES: dict[Kind, tuple[str, ...]] = {
    "brain": ("FLAIR", "T1w"),
    "two dates": ("FLAIR", "T1w"),
    "cord": ("T2w",),
}
"""What the phantoms of each kind are scanned with."""
BRAIN_SPACING_MM = 2.0
"""Of brains, unless asked otherwise."""


def kind_of(recipe: Recipe) -> Kind:
    """Which phantoms fit `recipe`; ConfigError where none has its images or its raters."""
    cord = "cord" in recipe.preprocessing.steps
    new = recipe.task.target == "new-lesions"
    if cord and new:
        raise ConfigError(
            f"recipe {recipe.name}: want a brain's or one date's phantoms, found task.target "
            "'new-lesions' with the step 'cord'. No phantom is a spinal cord at two dates."
        )
    kind: Kind = "cord" if cord else "two dates" if new else "brain"
    if recipe.task.raters and kind != "two dates":
        raise ConfigError(
            f"recipe {recipe.name}: task.raters is {recipe.task.raters}, and only phantoms with "
            "task.target 'new-lesions' have raters. Set task.raters to 0."
        )
    if lacking := [m for m in recipe.task.modalities if m not in MODALITIES[kind]]:
        raise ConfigError(
            f"recipe {recipe.name}: task.modalities names {', '.join(lacking)}, and phantoms of "
            f"this kind ({kind}) have {' and '.join(MODALITIES[kind])}. Choose among those."
        )
    return kind


def make_phantoms(
    out: Path,
    *,
    recipe: Recipe,
    n_sites: int,
    n_subjects: int,
    seed: int,
    spacing_mm: float | None = None,
    anatomies: Path | None = None,
    lesion_masks: Path | None = None,
    without_masks: Sequence[str] = (),
    on_subject: OnSubject | None = None,
) -> list[Path]:
    """The folders of `n_sites` new BIDS datasets under `out` that `recipe` can train on.

    spacing_mm      None: 2 mm for brains, for cords what `make_cord_consortium` takes by itself
    anatomies       for brains only, as in `make_consortium`
    lesion_masks    for brains scanned once only, as in `make_consortium`
    without_masks   the same
    """
    kind = kind_of(recipe)
    if kind == "cord" and anatomies is not None:
        raise ConfigError(
            f"recipe {recipe.name} wants spinal cords, and --anatomies holds brains. Leave it out."
        )
    if kind != "brain" and (lesion_masks is not None or without_masks):
        raise ConfigError(
            f"recipe {recipe.name} wants {kind} phantoms, whose lesions are drawn, and "
            "--lesion-masks and --without-masks are for brains scanned once. Leave them out."
        )
    if kind == "cord":
        return make_cord_consortium(
            out,
            n_sites=n_sites,
            n_subjects=n_subjects,
            seed=seed,
            spacing_mm=spacing_mm or CORD_SPACING_MM,
            on_subject=on_subject,
        )
    if kind == "two dates":
        return make_longitudinal_consortium(
            out,
            n_sites=n_sites,
            n_subjects=n_subjects,
            seed=seed,
            spacing_mm=spacing_mm or BRAIN_SPACING_MM,
            n_raters=recipe.task.raters,
            anatomies=anatomies,
            on_subject=on_subject,
        )
    return make_consortium(
        out,
        n_sites=n_sites,
        n_subjects=n_subjects,
        seed=seed,
        spacing_mm=spacing_mm or BRAIN_SPACING_MM,
        anatomies=anatomies,
        lesion_masks=lesion_masks,
        without_masks=without_masks,
        on_subject=on_subject,
    )
