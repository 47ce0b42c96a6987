from __future__ import annotations

import pytest

from server.cli.run_progress import RunProgress
from server.events.event_log import Event


def shown_after(
    events: list[Event], capsys: pytest.CaptureFixture[str], *, n_rounds: int = 4, n_sites: int = 2
) -> str:
    """What stands in the terminal in the end."""
    with RunProgress(n_rounds=n_rounds, n_sites=n_sites, quiet=False) as progress:
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
    event: Event = {"event": "round-started", "phase": phase, "round": index}
    assert words in shown_after([event], capsys)


def test_replies_of_both_trainings_fill_the_bar_and_no_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two rounds of each network at two sites are eight replies; three of them are in."""
    phases = ("statistics", "baseline", "training-first", "training-first", "mining")
    events: list[Event] = [{"event": "reply", "phase": phase} for phase in phases]
    assert "2/8" in shown_after(events, capsys)
    assert "3/8" in shown_after([*events, {"event": "reply", "phase": "training-second"}], capsys)


def test_the_lesion_metrics_steps_and_figures_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    step: Event = {"event": "lesion-metric-step", "step": 30, "n_steps": 600}
    assert "the lesion metric learns, step 30 of 600" in shown_after([step], capsys)
    figures: Event = {"event": "lesion-metric", "mae": 0.0625, "spearman": None}
    told = " ".join(shown_after([figures], capsys).split())
    assert "mean absolute error 0.062, rank correlation - on held-out pairs" in told
    assert "warning" not in told
    told = " ".join(shown_after([{**figures, "accepted": False}], capsys).split())
    assert "warning: the lesion metric misses its aims (0.06, 0.95)" in told


def test_a_quiet_run_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with RunProgress(n_rounds=1, n_sites=1, quiet=True) as progress:
        progress({"event": "round-started", "phase": "training", "round": 1})
    assert capsys.readouterr().err == ""
