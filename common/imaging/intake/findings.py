"""What intake has to say about a site's data: one sentence each, with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from common.errors import printable

Level = Literal["note", "warning", "blocking"]

SHOWN = 5
"""Names spelled out in one finding; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found in a site's folder, in words that can be printed whatever the files' names.

    level     note: good to know. warning: look at it. blocking: the case cannot be used
    code      a short word for scripts, such as "missing-modality"; safe to leave the site
    subject   "sub-01", or None for the whole folder
    session   "ses-01", or None
    text      what was expected and what was found; holds paths and labels, stays at the site
    fix       what to do about it
    """

    level: Level
    code: str
    subject: str | None
    session: str | None
    text: str
    fix: str

    def __post_init__(self) -> None:
        for name in ("subject", "session", "text", "fix"):
            text = getattr(self, name)
            if text is not None and not text.isprintable():
                object.__setattr__(self, name, printable(text))

    @property
    def case(self) -> str:
        """Subject and session as in file names, or "(whole folder)"."""
        return "(whole folder)" if self.subject is None else case_name(self.subject, self.session)

    def __str__(self) -> str:
        return f"{self.level}: {self.case}: {self.text}. {self.fix}"


def case_name(subject: str, session: str | None) -> str:
    """Subject and session as in file names: `sub-01_ses-02`, or `sub-01`."""
    return subject if session is None else f"{subject}_{session}"


def as_text(findings: Sequence[Finding]) -> str:
    """All findings, one a line, in the order given."""
    return "\n".join(str(finding) for finding in findings)


def on_folder(level: Level, code: str, *, text: str, fix: str) -> Finding:
    """A finding on the site's whole folder."""
    return Finding(level=level, code=code, subject=None, session=None, text=text, fix=fix)


def first_of(names: Sequence[str]) -> str:
    """The first names, commas between, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def without_it(modality: str, modalities: Sequence[str]) -> str:
    """The end of an advice: how a recipe does without a modality; "" for its only one."""
    others = ", ".join(f'"{other}"' for other in modalities if other != modality)
    if not others:
        return ""
    return f", or leave {modality} out of the recipe: --set 'task.modalities=[{others}]'"
