"""A site's findings in the order in which they are read: what blocks first, each kind together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from common.imaging.intake.findings import Finding, Level

LEVELS: tuple[Level, ...] = ("blocking", "warning", "note")
assert set(LEVELS) == set(get_args(Level))

MEANING = {
    "blocking": "these cases are quarantined",
    "warning": "look at these cases",
    "note": "good to know",
}
"""Level -> what it asks of the reader."""

_AFFINE = re.compile(r", affine \[[^\]]*\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One sentence, what to do, and the cases for which both are the same, in order."""

    cases: tuple[str, ...]
    text: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingGroup:
    """All findings of one level and one code.

    n_findings   how many there are
    n_cases      how many cases they are on, the whole folder as one
    """

    level: Level
    code: str
    said: tuple[Said, ...]
    n_findings: int
    n_cases: int


def grouped(findings: Sequence[Finding], *, affines: bool) -> list[FindingGroup]:
    """The findings by level, blocking first, and in each level by code, the most frequent first.

    affines   False leaves the affines of grids out of the texts
    """
    by_kind: dict[tuple[Level, str], list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault((finding.level, finding.code), []).append(finding)
    groups = [_group(level, code, found, affines) for (level, code), found in by_kind.items()]
    return sorted(groups, key=lambda one: (LEVELS.index(one.level), -one.n_cases, one.code))


def _group(level: Level, code: str, found: Sequence[Finding], affines: bool) -> FindingGroup:
    cases: dict[tuple[str, str], dict[str, None]] = {}
    for finding in found:
        text = finding.text if affines else _AFFINE.sub("", finding.text)
        cases.setdefault((text, finding.fix), {})[finding.case] = None
    return FindingGroup(
        level=level,
        code=code,
        said=tuple(
            Said(cases=tuple(names), text=text, fix=fix) for (text, fix), names in cases.items()
        ),
        n_findings=len(found),
        n_cases=len({finding.case for finding in found}),
    )
