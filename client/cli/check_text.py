"""What `lesionfed-site check` prints: findings, what the files hold, and what can be used."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from client.check.finding_groups import FindingGroup
    from common.imaging.intake.case_facts import CaseFacts
    from common.imaging.intake.intake import Intake

STYLES = {"blocking": "bold red", "warning": "bold yellow", "note": "bold"}
MENDED_BY_PREPARING = {"date-grid", "image-grid", "not-stripped"}

SHOWN_NOTES = 3
"""Different texts of one code that are printed for notes; the others are counted."""

FEW_CASES = 2
"""So many cases stand before what was found; more stand after it."""

SHOWN_CASES = 8
"""Cases that are named for one text of a warning or a note; the others are counted."""

_TOGETHER = "\0"
"""Stands for a space at which no line ends: a command is copied from one line."""

NARROWEST = 40
"""Texts are not broken into shorter lines than this."""


def print_intake(intake: Intake, *, raw: bool, verbose: bool) -> None:
    """Prints the findings, blocking first, a line for each image, and the counts.

    raw       judged as input of `prepare`
    verbose   with affines, every case and every note
    Names of cases and files are never broken: a line that does not fit the terminal goes on.
    """
    from rich.console import Console

    from client.check.finding_groups import MEANING, grouped

    console = Console(highlight=False, soft_wrap=True)
    groups = grouped(intake.findings, affines=verbose)
    for level, of_level in groupby(groups, key=lambda group: group.level):
        listed = list(of_level)
        n = sum(group.n_findings for group in listed)
        console.print(f"[{STYLES[level]}]{level}: {n}[/] ({MEANING[level]})\n")
        for group in listed:
            _print_group(console, group, verbose=verbose)
    if intake.facts:
        console.print("[bold]what the files hold[/]\n")
        for line in _overview(intake.facts):
            console.print(line, markup=False)
        console.print()
    for line in _counts(intake, raw=raw):
        console.print(line, markup=False)


def _print_group(console: Console, group: FindingGroup, *, verbose: bool) -> None:
    cases = "1 case" if group.n_cases == 1 else f"{group.n_cases} cases"
    said, blocking = group.said, group.level == "blocking"
    if group.level == "note" and not verbose:
        said = said[:SHOWN_NOTES]
    same_fix = len({one.fix for one in group.said}) == 1
    console.print(f"  [{STYLES[group.level]}]{group.code}[/], {cases}")
    for number, one in enumerate(said):
        if len(one.cases) <= FEW_CASES:
            _print_wrapped(console, f"{', '.join(one.cases)}: {one.text}", indent=4)
        else:
            _print_wrapped(console, f"{one.text}:", indent=4)
            _print_wrapped(console, _listed(one.cases, all_of=verbose or blocking), indent=6)
        if not same_fix or number == len(said) - 1:
            _print_wrapped(console, f"-> {one.fix}", indent=6)
    if left := len(group.said) - len(said):
        console.print(f"    and {left} more like these (--verbose shows them)")
    console.print()


def _listed(cases: Sequence[str], *, all_of: bool) -> str:
    shown = cases if all_of else cases[:SHOWN_CASES]
    more = f" and {len(cases) - len(shown)} more" if len(shown) < len(cases) else ""
    return ", ".join(shown) + more


def _print_wrapped(console: Console, text: str, *, indent: int) -> None:
    """The text in lines as wide as the terminal, broken at spaces alone."""
    lines = textwrap.wrap(
        text.replace("--set ", f"--set{_TOGETHER}"),
        max(NARROWEST, console.width),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + (3 if text.startswith("->") else 2)),
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        console.print(line.replace(_TOGETHER, " "), markup=False)


def _overview(cases: Sequence[CaseFacts]) -> Iterator[str]:
    """A line for each image: what it is, and the lesions of its case; in columns."""
    rows = [("case", "modality", "shape", "spacing, mm", "axes", "type", "range", "lesions")]
    for case in cases:
        lesions = "no mask"
        if case.lesions is not None:
            lesions = f"{case.lesions.n_lesions}, {case.lesions.volume_ml:.2f} mL"
        rows += [
            (
                case.name,
                image.modality,
                "x".join(map(str, image.shape)),
                "x".join(f"{mm:.2f}" for mm in image.spacing_mm),
                image.orientation,
                image.data_type,
                f"{image.low:g} to {image.high:g}",
                lesions,
            )
            for image in case.images
        ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(["", *cells]).rstrip()
    yield "  axes: where i, j, k run to; lesions: 6-connected components above 3 mm3 (msseg2016),"
    yield "  mL of the whole mask"


def _counts(intake: Intake, *, raw: bool) -> Iterator[str]:
    n_trainable = sum(case.n_lesion_voxels > 0 for case in intake.usable)
    n_unprepared = _unprepared(intake)
    if n_unprepared and not raw:
        yield (
            f"{n_unprepared} of the quarantined cases only want preparing: lesionfed-site check "
            "--raw, then lesionfed-site prepare"
        )
    for modality, n in _lacking(intake).items():
        yield f"{modality} missing: {n} of {len(intake.usable)} usable cases, which take part"
    yield (
        f"usable: {len(intake.usable)} (with lesions to train on: {n_trainable}), "
        f"quarantined: {len(intake.quarantined)}"
    )


def _lacking(intake: Intake) -> dict[str, int]:
    """Optional modality -> usable cases without it, for those that some case lacks."""
    return dict(Counter(name for case in intake.usable for name in case.missing))


def _unprepared(intake: Intake) -> int:
    """How many cases are quarantined only for what preparing fixes."""
    reasons: dict[str, set[str]] = {name: set() for name in intake.quarantined}
    for finding in intake.findings:
        if finding.level == "blocking" and finding.case in reasons:
            reasons[finding.case].add(finding.code)
    return sum(codes <= MENDED_BY_PREPARING for codes in reasons.values())
