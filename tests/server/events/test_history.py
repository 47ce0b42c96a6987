from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import RunFolderError
from server.evaluation.case_row import CaseRow
from server.events.history import RunHistory, read_run
from tests.server.report.made_run import Line, evaluated, reply, started, whole_run, written


def read(tmp_path: Path, lines: list[Line]) -> RunHistory:
    return read_run(written(tmp_path / "toy", lines) / "events.jsonl")


def test_a_whole_run_is_read_by_what_it_means(tmp_path: Path) -> None:
    record = read(tmp_path, whole_run())

    assert record.sites("train") == ["north", "south"]
    assert record.sites("unseen") == ["east"]
    assert list(record.rounds) == [("statistics", 1), ("training", 1), ("training", 2)]
    assert [r.index for r in record.training] == [1, 2]
    assert record.evaluated_rounds("east") == [0, 2]
    assert record.template is not None
    assert record.template.landmarks == {"FLAIR": (0.31, 0.62, 0.75)}
    assert record.selected is not None
    assert record.selected.round == 2
    assert record.finished is not None
    assert record.finished.status == "completed"
    [failure] = record.failures
    assert (failure.site, failure.error, failure.code) == ("south", "SiteDataError", "no-lesions")


def test_the_template_of_an_older_run_is_one_of_class_centres(tmp_path: Path) -> None:
    older: Line = {"event": "template", "centres": {"FLAIR": [0.3, 0.6, 0.7]}, "n_subjects": 4}
    template = read(tmp_path, [started(), older]).template
    assert template is not None
    assert template.landmarks == {"FLAIR": (0.3, 0.6, 0.7)}
    assert template.columns == ("darkest class", "middle class", "brightest class")


def test_a_nyul_template_names_its_percentiles(tmp_path: Path) -> None:
    landmarks = {"FLAIR": [0.0, *range(20, 31), 100.0]}
    made: Line = {"event": "template", "method": "nyul", "landmarks": landmarks, "n_subjects": 4}
    template = read(tmp_path, [started(), made]).template
    assert template is not None
    assert len(template.columns) == len(template.landmarks["FLAIR"])
    assert template.columns[:2] == ("percentile 1", "percentile 10")


def test_the_sites_split_and_their_own_test_are_read(tmp_path: Path) -> None:
    part = {"n_subjects": 2, "n_cases": 3, "n_lesions": 5, "lesion_volume_ml": 1.5}
    split: Line = {"event": "site-split", "site": "north", "parts": {"test": part}}
    test: Line = {"event": "site-test", "threshold": 0.4, "n_cases": 3, "mean_dice": 0.6}
    record = read(tmp_path, [started(), split, test])
    assert record.splits["north"].parts["test"].n_lesions == 5
    assert record.site_test is not None
    assert (record.site_test.mean_dice, record.site_test.mean_lesion_f1) == (0.6, None)


def test_the_parts_of_a_split_come_in_the_order_of_their_use_whoever_tells_first(
    tmp_path: Path,
) -> None:
    part = {"n_subjects": 1, "n_cases": 1, "n_lesions": 1, "lesion_volume_ml": 1.0}
    told = {"lyon": ("training", "test"), "ghent": ("threshold", "validation")}
    lines: list[Line] = [
        {"event": "site-split", "site": site, "parts": dict.fromkeys(parts, part)}
        for site, parts in told.items()
    ]
    run = read(tmp_path, [started(), *lines])
    assert run.split_parts == ["training", "validation", "threshold", "test"]


def test_the_rounds_of_a_cascades_second_network_count_on(tmp_path: Path) -> None:
    """Three rounds of the first network, then two of the second."""
    lines = [started()]
    for phase, n_rounds in (("training-first", 3), ("mining", 1), ("training-second", 2)):
        for index in range(1, n_rounds + 1):
            place = {"phase": phase, "round": index}
            lines.append({"event": "round-started", **place, "sites": ["north"]})
            lines.append({**reply("north", index, loss=index / 8), **place})
            lines.append({"event": "round-finished", **place, "n_replies": 1, "wall_s": 2.0})
    record = read(tmp_path, lines)

    assert [r.index for r in record.training] == [1, 2, 3, 4, 5]
    assert [r.phase for r in record.training] == 3 * ["training-first"] + 2 * ["training-second"]
    losses = [r.replies["north"].fact("loss") for r in record.training]
    assert losses == [0.125, 0.25, 0.375, 0.125, 0.25]
    assert [r.index for r in record.rounds.values() if r.phase == "training-second"] == [1, 2]


def test_a_rounds_replies_add_up(tmp_path: Path) -> None:
    first, second = read(tmp_path, whole_run()).training

    assert first.received_bytes == 2 * 1_500_000
    assert second.n_wanted == 2
    assert second.replies.keys() == {"north"}
    assert second.failures.keys() == {"south"}


def test_a_site_that_never_came_counts_among_those_wanted(tmp_path: Path) -> None:
    place = {"phase": "training", "round": 1}
    lines = [
        started(),
        {"event": "round-started", **place, "sites": ["north"]},
        {"event": "site-failed", **place, "site": "south", "error": "NotThere", "code": "absent"},
    ]
    assert read(tmp_path, lines).training[0].n_wanted == 2


def test_a_fact_that_is_absent_undefined_or_no_number_has_no_value(tmp_path: Path) -> None:
    lines = [started(), reply("north", 1, loss=0.5, head_spread=None, site_loss="high", n_cases=3)]
    sent = read(tmp_path, lines).training[0].replies["north"]

    assert sent.fact("loss") == 0.5
    assert sent.fact("n_cases") == 3
    assert [sent.fact(name) for name in ("head_spread", "site_loss", "nothing")] == [None] * 3


def test_a_round_held_again_after_a_cut_keeps_its_last_run(tmp_path: Path) -> None:
    place = {"phase": "training", "round": 1, "sites": ["north", "south"]}
    lines = [
        started(),
        {"event": "round-started", **place},
        reply("north", 1, loss=0.9),
        reply("south", 1, loss=0.8),
        {"event": "run-finished", "status": "stopped", "reason": "interrupted"},
        {"event": "run-resumed", "recipe_name": "toy"},
        {"event": "round-started", **place},
        reply("north", 1, loss=0.7),
    ]
    record = read(tmp_path, lines)

    assert record.n_resumed == 1
    assert record.finished is None
    assert list(record.training[0].replies) == ["north"]
    assert record.training[0].replies["north"].fact("loss") == 0.7


def test_a_half_written_last_line_is_passed_over(tmp_path: Path) -> None:
    folder = written(tmp_path / "toy", [started()])
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"time": "2026-03-01T10:00:09+00:00", "event": "run-fin')

    assert read_run(folder / "events.jsonl").finished is None


def test_a_kind_of_event_not_known_here_is_passed_over(tmp_path: Path) -> None:
    record = read(tmp_path, [started(), {"event": "weather", "sunny": True}])
    assert record.rounds == {}


def test_nan_reads_as_undefined(tmp_path: Path) -> None:
    lines = [started(), reply("north", 1, loss=float("nan"), site_loss=float("inf"))]
    sent = read(tmp_path, lines).training[0].replies["north"]

    assert sent.fact("loss") is None
    assert sent.fact("site_loss") is None


def test_the_rows_of_an_older_run_take_their_site_from_the_event(tmp_path: Path) -> None:
    old = {"subject": "sub-A", "session": "ses-01", "failed": None, "dice": 0.5, "ppv": None}
    lines = [started(), evaluated("east", 0, [old, {"site": "east", **old}])]
    [done] = read(tmp_path, lines).evaluations.values()

    assert done.cases == 2 * (
        CaseRow(site="east", subject="sub-A", session="ses-01", metrics={"dice": 0.5, "ppv": None}),
    )


@pytest.mark.parametrize(
    ("cases", "match"),
    [
        pytest.param([{"session": "ses-01"}], "each with its subject", id="no subject"),
        pytest.param("none", "each with its subject", id="no list"),
        pytest.param([{"subject": "sub-A", "dice": "high"}], "dice: .*number", id="no number"),
    ],
)
def test_rows_that_are_no_cases_are_refused(tmp_path: Path, cases: object, match: str) -> None:
    line = {**evaluated("east", 0, []), "cases": cases}
    with pytest.raises(RunFolderError, match=rf"line 2: evaluated\.cases: .*{match}"):
        read(tmp_path, [started(), line])


def test_a_folder_without_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"events\.jsonl: want the events of a run.*--out"):
        read_run(tmp_path / "events.jsonl")


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        pytest.param([], "found none", id="nothing"),
        pytest.param([reply("north", 1)], "found reply", id="no beginning"),
        pytest.param([started(), started(run="b")], "run 'b' starts in the events", id="two runs"),
        pytest.param(
            [started(), {"event": "selected", "round": "last", "by": "x"}],
            r"line 2: selected\.round: .*integer",
            id="a wrong type",
        ),
    ],
)
def test_events_that_tell_of_no_run_are_refused(
    tmp_path: Path, lines: list[Line], match: str
) -> None:
    with pytest.raises(RunFolderError, match=match):
        read(tmp_path, lines)


def test_a_line_in_the_middle_that_is_no_json_is_a_gap_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = written(tmp_path / "toy", whole_run())
    events = folder / "events.jsonl"
    lines = events.read_text("utf-8").splitlines(keepends=True)
    lines[3:5] = ["garbage\n", lines[4][:40] + lines[5]]
    events.write_text("".join(lines), encoding="utf-8")
    history = read_run(events)

    assert history.gaps == [4, 5]
    assert history.gap_warning is not None
    assert "line 4, 5 cannot be read" in history.gap_warning
    assert history.finished is not None
    assert read_run(written(tmp_path / "whole", whole_run()) / "events.jsonl").gap_warning is None


def test_a_run_whose_start_the_disk_refused_began_with_its_later_start(tmp_path: Path) -> None:
    refused: Line = {"event": "run-finished", "status": "failed", "reason": "no space left"}
    history = read(tmp_path, [refused, started()])

    assert history.started.run == "toy"
    assert history.started.time.second == 1


def test_a_site_answered_in_a_round_whose_beginning_is_lost(tmp_path: Path) -> None:
    history = read(tmp_path, [started(), reply("north", 3, loss=0.5)])
    assert list(history.rounds) == [("training", 3)]
    assert history.rounds["training", 3].wall_s is None


def test_updates_over_a_bound_are_void_with_their_round(tmp_path: Path) -> None:
    limited: Line = {"event": "site-limited", "phase": "training", "site": "south"}
    limited |= {"limit": "share", "found": 0.9, "allowed": 0.5}
    lines: list[Line] = [started()]
    for index in (1, 2):
        of_round = {"phase": "training", "round": index}
        lines += [
            {"event": "round-started", **of_round, "sites": ["north", "south"]},
            {**limited, "round": index},
            {"event": "round-finished", **of_round, "n_replies": 2},
        ]
    resumed: Line = {"event": "run-resumed", "phase": "training", "round": 1, "training_round": 1}
    assert [one.round for one in read(tmp_path / "whole", lines).limited] == [1, 2]
    assert [one.round for one in read(tmp_path / "cut", [*lines, resumed]).limited] == [1]
