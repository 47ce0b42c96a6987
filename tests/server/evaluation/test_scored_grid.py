from __future__ import annotations

import pytest

from server.evaluation.case_row import CaseRow
from server.evaluation.scored_grid import scored_grid_in_words
from server.evaluation.site_summary import as_rows, summarize_sites

PREPARED = CaseRow(site="a", subject="sub-1", metrics={"dice": 0.5})
FAILED = CaseRow(site="a", subject="sub-2", failed="truncated")


def drawn(n_lost: int | None, site: str = "a") -> CaseRow:
    metrics = {"dice": 0.5, "n_lesions_lost_by_resampling": n_lost}
    return CaseRow(site=site, subject="sub-3", grid="scanner", metrics=metrics)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([FAILED], ""),
        ([PREPARED, FAILED], "Scored on the grid of the prepared images: no reference on the"),
        (
            [drawn(2), FAILED, drawn(None, "b")],
            "Scored on the scanner's own grid, where the lesions were drawn. 2 reference lesions "
            "are lost by resampling to the prepared grid and still counted here.",
        ),
        ([drawn(1)], "drawn. 1 reference lesion is lost by resampling to the prepared grid and"),
        ([drawn(0)], "drawn. No reference lesions are lost by resampling to the prepared grid."),
        (
            [PREPARED, drawn(3, "b")],
            "1 of 2 scored cases on the scanner's own grid, where the lesions were drawn; the "
            "others on the grid of their prepared images, for want of such a reference. 3 ",
        ),
    ],
)
def test_a_sentence_says_where_cases_were_scored(rows: list[CaseRow], told: str) -> None:
    text = scored_grid_in_words(summarize_sites(rows))
    assert told in text
    assert bool(text) == bool(told)


def test_a_site_has_how_many_cases_were_scored_there_and_how_many_lesions_were_lost() -> None:
    [a, b, c] = as_rows(
        summarize_sites(
            [
                PREPARED,
                drawn(2),
                drawn(1),
                drawn(None, "b"),
                CaseRow(site="c", subject="sub-1", metrics={"dice": 1.0}),
            ]
        )
    )
    assert [(s["n_scored"], s["n_on_scanner_grid"], s["n_lost_lesions"]) for s in (a, b, c)] == [
        (3, 2, 3),
        (1, 1, 0),
        (1, 0, None),
    ]
