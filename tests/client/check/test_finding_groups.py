from __future__ import annotations

from client.check.finding_groups import Said, grouped
from common.imaging.intake.findings import Finding, Level, on_folder


def found(level: Level, code: str, subject: str, text: str = "text", fix: str = "fix") -> Finding:
    return Finding(level=level, code=code, subject=subject, session=None, text=text, fix=fix)


def test_what_blocks_comes_first_then_the_most_frequent_of_each_level() -> None:
    findings = [
        found("note", "8-bit", "sub-01"),
        found("warning", "clipped", "sub-01"),
        found("warning", "slab", "sub-01"),
        found("warning", "slab", "sub-02"),
        found("blocking", "mask-grid", "sub-03"),
        found("blocking", "bad-affine", "sub-03"),
        on_folder("note", "bids-valid", text="text", fix="fix"),
    ]
    assert [
        (group.level, group.code, group.n_cases) for group in grouped(findings, affines=True)
    ] == [
        ("blocking", "bad-affine", 1),
        ("blocking", "mask-grid", 1),
        ("warning", "slab", 2),
        ("warning", "clipped", 1),
        ("note", "8-bit", 1),
        ("note", "bids-valid", 1),
    ]


def test_one_code_at_two_levels_makes_two_groups() -> None:
    findings = [found("note", "image-grid", "sub-01"), found("blocking", "image-grid", "sub-02")]
    assert [group.level for group in grouped(findings, affines=True)] == ["blocking", "note"]


def test_equal_sentences_are_said_once_with_all_their_cases() -> None:
    findings = [
        found("warning", "slab", "sub-02", "FLAIR"),
        found("warning", "slab", "sub-01", "T1w"),
        found("warning", "slab", "sub-01", "FLAIR"),
        found("warning", "slab", "sub-01", "FLAIR", "another fix"),
    ]
    (group,) = grouped(findings, affines=True)
    assert group.n_findings == 4
    assert group.n_cases == 2
    assert group.said == (
        Said(cases=("sub-02", "sub-01"), text="FLAIR", fix="fix"),
        Said(cases=("sub-01",), text="T1w", fix="fix"),
        Said(cases=("sub-01",), text="FLAIR", fix="another fix"),
    )


def test_affines_are_left_out_unless_asked_for() -> None:
    text = (
        "T1w: shape (2, 2, 2), spacing 1 x 1 x 1 mm, affine [1 0 0 0; 0 1 0 0; 0 0 1 0]; FLAIR: "
        "shape (3, 3, 3), spacing 1 x 1 x 1 mm, affine [2 0 0 0; 0 2 0 0; 0 0 2 0]"
    )
    findings = [found("note", "image-grid", "sub-01", text)]
    assert grouped(findings, affines=True)[0].said[0].text == text
    assert grouped(findings, affines=False)[0].said[0].text == (
        "T1w: shape (2, 2, 2), spacing 1 x 1 x 1 mm; FLAIR: shape (3, 3, 3), spacing 1 x 1 x 1 mm"
    )
