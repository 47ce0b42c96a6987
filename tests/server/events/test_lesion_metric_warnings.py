from __future__ import annotations

from server.events.history import RunHistory
from server.events.lesion_metric_warnings import missed_aims, warnings_of_round, warnings_of_run
from server.events.schema import LesionMetricTrained, RoundStarted, SiteReplied


def history_of(*rounds: dict[str, tuple[float | None, float | None]]) -> RunHistory:
    """Training rounds from 1; site -> estimate and true lesion F1."""
    history = RunHistory()
    for index, by_site in enumerate(rounds, start=1):
        history.accept(RoundStarted(phase="training", round=index, sites=tuple(by_site)))
        for site, (estimated, true) in by_site.items():
            facts = {"estimated_lesion_f1": estimated, "true_lesion_f1": true}
            history.accept(SiteReplied(phase="training", round=index, site=site, facts=facts))
    return history


def test_a_metric_that_meets_its_aims_and_stays_near_the_truth_is_not_warned_of() -> None:
    """0.75 - 0.46875 = 0.28125: below 0.3; and one half of a pair is no pair."""
    history = history_of({"bonn": (0.75, 0.46875)}, {"bonn": (0.9, None), "ghent": (None, 0.1)})
    history.accept(LesionMetricTrained(n_pairs=9, mae=0.06, bias=0, spearman=0.95))
    assert warnings_of_run(history) == []
    assert warnings_of_round(history, history.training[0]) == []


def test_an_estimate_below_the_truth_is_warned_of_like_one_above() -> None:
    history = history_of({"bonn": (0.0, 0.5), "ghent": (0.875, 0.5)}, {"bonn": (0.5, 0.5)})
    [of_run] = warnings_of_run(history)
    assert "in training rounds 1 its estimate and the true" in of_run
    of_round = warnings_of_round(history, history.training[0])
    assert [line.split(" the lesion")[0] for line in of_round] == [
        "round 1: at bonn",
        "round 1: at ghent",
    ]
    assert warnings_of_round(history, history.training[1]) == []


def test_the_figures_stand_beside_the_aims_with_the_patches_they_are_for() -> None:
    trained = LesionMetricTrained(
        n_pairs=600, patch_shape=(64, 64, 32), mae=0.125, bias=0, accepted=False
    )
    assert missed_aims(trained) == (
        "the lesion metric misses its aims on 600 pairs of masks that it has not seen "
        "(64 x 64 x 32 voxels): mean absolute error 0.125, want at most 0.06; rank correlation "
        "undefined, want at least 0.95"
    )


def test_a_metric_that_misses_its_aims_and_was_not_used_says_so() -> None:
    history = history_of({"bonn": (None, None)})
    history.accept(LesionMetricTrained(n_pairs=9, mae=0.5, bias=0, accepted=False))
    [of_run] = warnings_of_run(history)
    assert of_run.endswith("Training rounds that used it: none")
