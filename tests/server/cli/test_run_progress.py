from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from server.cli.run_progress import RunProgress
from server.events.history import RunHistory
from server.events.run_event import RunEvent
from server.events.schema import (
    CheckpointSaved,
    LesionMetricStep,
    LesionMetricTrained,
    RoundFinished,
    RoundStarted,
    RunResumed,
    SiteReplied,
)
from server.events.site_limited import SiteLimited


def shown_after(
    events: Sequence[RunEvent],
    capsys: pytest.CaptureFixture[str],
    *,
    n_rounds: int = 4,
    n_sites: int = 2,
    before: RunHistory | None = None,
) -> str:
    """What stands in the terminal in the end."""
    with RunProgress(
        n_rounds=n_rounds, n_sites=n_sites, history=before or RunHistory(), quiet=False
    ) as progress:
        for event in events:
            progress(event)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("phase", "index", "words"),
    [
        pytest.param("training", 3, "training, round 3 of 4", id="one network"),
        pytest.param("training-first", 2, "training, round 2 of 4", id="the first of two"),
        pytest.param("training-second", 1, "training, round 3 of 4", id="the second counts on"),
        pytest.param("mining", 1, "mining: reading every site's cases", id="between them"),
    ],
)
def test_it_says_which_round_of_the_whole_run_is_under_way(
    phase: str, index: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    event = RoundStarted(phase=phase, round=index, sites=())
    assert words in shown_after([event], capsys)


def test_replies_of_both_trainings_fill_the_bar_and_no_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two rounds of each network at two sites are eight replies; three of them are in."""
    rounds = [(phase, 1) for phase in ("statistics", "baseline", "training-first", "mining")]
    events: list[RunEvent] = [
        SiteReplied(phase=phase, round=index, site="lyon")
        for phase, index in (*rounds, ("training-first", 2))
    ]
    assert "2/8" in shown_after(events, capsys)
    second = SiteReplied(phase="training-second", round=1, site="lyon")
    assert "3/8" in shown_after([*events, second], capsys)


def test_a_site_whose_update_is_over_a_bound_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    event = SiteLimited(
        phase="training", round=1, site="lyon", limit="share", found=0.75, allowed=0.5
    )
    words = "site lyon would be 75 % of the mean and is 50 % (federation.largest_share)"
    assert words in " ".join(shown_after([event], capsys).split())


def test_the_lesion_metrics_steps_and_figures_are_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    step = LesionMetricStep(step=30, n_steps=600)
    assert "the lesion metric learns, step 30 of 600" in shown_after([step], capsys)
    figures = LesionMetricTrained(n_pairs=10, mae=0.0625, bias=0.0)
    told = " ".join(shown_after([figures], capsys).split())
    assert "mean absolute error 0.062, rank correlation - on held-out pairs" in told
    assert "warning" not in told
    told = " ".join(shown_after([figures.model_copy(update={"accepted": False})], capsys).split())
    assert "warning: the lesion metric misses its aims on 10 pairs" in told
    assert "mean absolute error 0.062, want at most 0.06" in told


def trained_round(index: int, **by_site: tuple[float, float]) -> list[RunEvent]:
    """One training round; site -> the metric's estimate and true lesion F1."""
    place: dict[str, Any] = {"phase": "training", "round": index}
    facts = {
        site: {"estimated_lesion_f1": estimated, "true_lesion_f1": true}
        for site, (estimated, true) in by_site.items()
    }
    return [
        RoundStarted(**place, sites=tuple(by_site)),
        *(SiteReplied(**place, site=site, facts=facts[site]) for site in by_site),
        RoundFinished(**place, n_replies=1),
    ]


def test_each_round_says_true_lesion_f1_beside_the_estimate_and_warns_where_they_differ(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Means of 0.5 and 0.8, and of 0.25 and 0.45; 0.8 - 0.45 = 0.35 is above 0.3, 0.25 is not."""
    shown = shown_after(trained_round(2, ghent=(0.5, 0.25), bonn=(0.8, 0.45)), capsys)
    told = " ".join(shown.split())
    assert (
        "round 2: lesion F1 of the training patches 0.350, estimated by the lesion metric 0.650"
    ) in told
    assert "warning: round 2: at bonn the lesion metric estimates 0.800 and lesion F1" in told
    assert "at ghent" not in told
    assert "misses its aims" not in told


def test_every_round_with_a_lesion_metric_that_misses_its_aims_warns_and_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = LesionMetricTrained(n_pairs=10, mae=0.25, bias=0.0, accepted=False)
    place: dict[str, Any] = {"phase": "training", "round": 1}
    without = [
        RoundStarted(**place, sites=("bonn",)),
        SiteReplied(**place, site="bonn"),
        RoundFinished(**place, n_replies=1),
    ]
    told = shown_after([trained, *without, *trained_round(2, bonn=(0.5, 0.5))], capsys)
    assert "warning: round 2 trained with a lesion metric that misses its aims" in told
    assert "round 1" not in told.replace("training, round 1", "")


def test_a_quiet_run_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with RunProgress(history=RunHistory(), n_rounds=1, n_sites=1, quiet=True) as progress:
        progress(RoundStarted(phase="training", round=1, sites=()))
    assert capsys.readouterr().err == ""


def test_a_resumed_run_begins_with_the_replies_that_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Round 1 was saved, round 2 was open with one reply when the run was cut off: 2 of 8."""
    before = RunHistory()
    for event in (
        RoundStarted(phase="training", round=1, sites=("lyon", "bonn")),
        SiteReplied(phase="training", round=1, site="lyon"),
        SiteReplied(phase="training", round=1, site="bonn"),
        CheckpointSaved(phase="training", round=1, file="1.safetensors"),
        RoundStarted(phase="training", round=2, sites=("lyon", "bonn")),
        SiteReplied(phase="training", round=2, site="lyon"),
    ):
        before.accept(event)
    resumed = RunResumed(phase="training", round=1, training_round=1)
    assert "2/8" in shown_after([resumed], capsys, before=before)
