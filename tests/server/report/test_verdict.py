from __future__ import annotations

from pathlib import Path

import pytest

from server.events.history import RunHistory, read_run
from server.report.charts import run_charts
from server.report.verdict import final_round, missed_choices, site_verdict
from tests.server.report.made_run import (
    Line,
    case,
    evaluated,
    failed_case,
    started,
    whole_run,
    written,
)


def read(tmp_path: Path, lines: list[Line]) -> RunHistory:
    return read_run(written(tmp_path / "toy", lines) / "events.jsonl")


def test_the_selected_round_counts_even_when_a_later_one_was_scored(tmp_path: Path) -> None:
    lines = [
        started(),
        *(evaluated("east", r, [case("A", 0.1 * r)]) for r in (0, 1, 2)),
        {"event": "selected", "round": 1, "by": "validation"},
    ]
    record = read(tmp_path, lines)

    assert final_round(record, "east") == 1
    assert site_verdict(record, "east").dice == pytest.approx(0.1)


def test_without_a_selection_the_last_scored_round_counts(tmp_path: Path) -> None:
    record = read(tmp_path, [started(), *(evaluated("east", r, []) for r in (0, 4, 2))])
    assert final_round(record, "east") == 4


def test_before_a_trained_round_was_scored_there_is_no_verdict(tmp_path: Path) -> None:
    record = read(tmp_path, [started(), evaluated("east", 0, [case("A", 0.1)])])
    verdict = site_verdict(record, "east")

    assert verdict.network is None
    assert verdict.untrained is not None
    assert verdict.in_words("FLAIR threshold") == "No trained network has been scored here yet."


def test_the_verdict_in_words_names_what_it_compares(tmp_path: Path) -> None:
    # network (0.8 + 0.4) / 2, threshold (0.3 + 0.1) / 2, untrained (0.0 + 0.02) / 2
    assert site_verdict(read(tmp_path, whole_run()), "east").in_words("FLAIR threshold") == (
        "The network has a mean Dice of 0.600 over 2 of 4 planned cases (before training 0.010). "
        "That is above the FLAIR threshold (0.200)."
    )


@pytest.mark.parametrize(
    ("network", "baseline", "words"),
    [
        pytest.param(0.2, 0.3, "not above the FLAIR threshold (0.300).", id="below"),
        pytest.param(0.3, 0.3, "not above the FLAIR threshold (0.300).", id="equal"),
        pytest.param(0.4, None, "There is no FLAIR threshold to compare it with.", id="undefined"),
        pytest.param(None, 0.3, "The trained network has no defined Dice here", id="no Dice"),
    ],
)
def test_the_verdict_does_not_flatter(
    tmp_path: Path, network: float | None, baseline: float | None, words: str
) -> None:
    lines = [
        started(),
        evaluated("east", 0, [case("A", baseline)], method="baseline"),
        evaluated("east", 1, [case("A", network)]),
    ]
    assert words in site_verdict(read(tmp_path, lines), "east").in_words("FLAIR threshold")


def test_means_over_other_cases_are_said_to_be(tmp_path: Path) -> None:
    lines = [
        started(),
        evaluated("east", 0, [case("A", 0.3), case("B", 0.1)], method="baseline"),
        evaluated("east", 1, [case("A", 0.5), failed_case("B", "gone")]),
    ]
    words = site_verdict(read(tmp_path, lines), "east").in_words("FLAIR threshold")
    assert words.endswith("The two means are not over the same cases.")


def test_an_evaluation_without_a_planned_case_scores_nothing(tmp_path: Path) -> None:
    record = read(tmp_path, [started(), evaluated("east", 1, [])])
    verdict = site_verdict(record, "east")

    assert verdict.network is None
    assert verdict.in_words("FLAIR threshold") == "No trained network has been scored here yet."


def test_a_case_that_only_one_method_scored_has_a_row(tmp_path: Path) -> None:
    rows = site_verdict(read(tmp_path, whole_run()), "east").cases

    assert [row.name for row in rows] == ["sub-A", "sub-B", "sub-C_ses-01", "sub-D"]
    assert rows[3].network is not None
    assert rows[3].baseline is None


def drawn_at_the_end() -> list[Line]:
    """A verdict on the scanner's grid: 0.5 against 0.25; along the way 0.8, the threshold 0.3."""
    own = {"grid": "scanner", "n_lesions_lost_by_resampling": 2}
    return [
        started(),
        evaluated("east", 0, [case("A", 0.3)], method="baseline"),
        evaluated("east", 0, [case("A", 0.1)]),
        evaluated("east", 1, [case("A", 0.8)]),
        {"event": "selected", "round": 1, "by": "the last round"},
        evaluated("east", 1, [case("A", 0.5, **own)]),
        evaluated("east", 1, [case("A", 0.25, **own)], method="baseline"),
    ]


def test_network_and_threshold_of_the_verdict_are_of_one_grid(tmp_path: Path) -> None:
    verdict = site_verdict(read(tmp_path, drawn_at_the_end()), "east")
    assert verdict.in_words("FLAIR threshold") == (
        "The network has a mean Dice of 0.500 over 1 of 1 planned cases (before training 0.100, on "
        "the prepared grid). That is above the FLAIR threshold (0.250)."
    )


def test_a_threshold_that_was_scored_on_another_grid_is_not_compared(tmp_path: Path) -> None:
    """The run was cut off between the two: 0.5 on the scanner's grid, 0.3 on the prepared one."""
    verdict = site_verdict(read(tmp_path, drawn_at_the_end()[:-1]), "east")
    assert verdict.margin is None


def test_the_curves_stay_on_the_prepared_grid(tmp_path: Path) -> None:
    record = read(tmp_path, drawn_at_the_end())
    [chart] = [c for c in run_charts(record, threshold_name="FLAIR threshold") if c.title == "Dice"]
    assert [c.defined for c in chart.curves] == [[(0, 0.1), (1, 0.8)]]
    assert chart.levels == {"east: FLAIR threshold": 0.3}


def test_a_choice_that_nothing_made_is_said_also_of_a_run_that_announced_none(
    tmp_path: Path,
) -> None:
    kept: Line = {"event": "threshold-kept", "threshold": 0.5, "reason": "nobody keeps a case"}
    assert missed_choices(read(tmp_path, [*drawn_at_the_end(), kept])) == [
        "No round was chosen: no case for validation could be scored.",
        "No decision threshold was chosen: 0.5 stays, for nobody keeps a case.",
    ]


def test_a_round_that_was_chosen_and_a_fixed_threshold_miss_nothing(tmp_path: Path) -> None:
    chosen: Line = {"event": "selected", "round": 1, "by": "mean Dice", "score": 0.5}
    assert missed_choices(read(tmp_path, [started(), chosen])) == []
