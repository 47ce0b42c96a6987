"""What is said of a case that lacks one of the recipe's images."""

from __future__ import annotations

from common.imaging.intake.findings import Finding, without_it
from common.recipe.task import Task


def missing_modality(
    modality: str, task: Task, *, subject: str, session: str | None, text: str, add: str
) -> Finding:
    """Blocking, and a note where the recipe lets a case do without that modality.

    text   what is missing, and what there is instead
    add    the advice to add it, without its full stop
    """
    if modality in task.optional_modalities:
        return Finding(
            level="note",
            code="missing-optional-modality",
            subject=subject,
            session=session,
            text=f"{text}; the case takes part without it",
            fix=f"Nothing to do. {add}, if there is one.",
        )
    return Finding(
        level="blocking",
        code="missing-modality",
        subject=subject,
        session=session,
        text=text,
        fix=f"{add}{without_it(modality, task.modalities)}.",
    )
