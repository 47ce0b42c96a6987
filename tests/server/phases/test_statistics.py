from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UpdateRejected, WireError
from common.recipe import load_recipe
from common.wire.codec import Packed, pack, unpack
from common.wire.messages import SiteStatistics
from server.events import EventLog
from server.phases.statistics import StatisticsPhase
from server.run_state import RunState

N_LANDMARKS = {"two-step": 3, "nyul": 13}


def described(n_subjects: int, *rows: list[float]) -> SiteStatistics:
    """A site whose subjects' landmarks, for both modalities, add up to the first row, ..."""
    return SiteStatistics(
        n_cases=n_subjects,
        n_controls=0,
        n_quarantined=0,
        n_trainable=n_subjects,
        lesion_volume_ml=1.0,
        n_findings={},
        n_template_subjects=n_subjects,
        landmark_sums=dict(zip(("FLAIR", "T1w"), map(tuple, rows), strict=False)),
    )


def template_of(folder: Path, method: str, replies: dict[str, SiteStatistics]) -> RunState:
    recipe = load_recipe("default", overrides=[f"standardization.method={method}"])
    round_ = StatisticsPhase(recipe, EventLog(folder / "events.jsonl")).round(RunState())
    exchange = next(round_)
    for site, reply in replies.items():
        exchange.fold(site, unpack(pack(reply), SiteStatistics))
    with pytest.raises(StopIteration) as ended:
        next(round_)
    state: RunState = ended.value.value
    return state


@pytest.mark.parametrize("method", ["two-step", "nyul"])
@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=5), st.integers(0, 2**32 - 1))
def test_the_template_of_unequal_sites_is_the_mean_over_all_their_subjects(
    tmp_path_factory: pytest.TempPathFactory, method: str, sizes: list[int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    steps = random.uniform(0.05, 1, (sum(sizes), 2, N_LANDMARKS[method]))
    subjects = np.cumsum(steps, axis=2)
    parts = np.split(subjects, np.cumsum(sizes)[:-1])
    replies = {
        f"site-{k}": described(len(part), *part.sum(axis=0).tolist())
        for k, part in enumerate(parts)
    }
    template = template_of(tmp_path_factory.mktemp("run"), method, replies).template
    pooled = subjects.mean(axis=0)
    np.testing.assert_allclose([template["FLAIR"], template["T1w"]], pooled, rtol=1e-6)


def test_the_event_names_the_method_and_the_subjects(tmp_path: Path) -> None:
    row = [0.0, *(2.0 * x for x in range(20, 31)), 200.0]
    state = template_of(tmp_path, "nyul", {"lyon": described(2, row, row)})
    event: dict[str, Any] = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert (event["event"], event["method"], event["n_subjects"]) == ("template", "nyul", 2)
    assert event["landmarks"]["T1w"] == [0, *range(20, 31), 100]
    assert state.template["T1w"] == (0, *range(20, 31), 100)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        pytest.param([[1.0, 2, 3], [1.0, 2, 3]], "13 and 3 landmarks", id="of another method"),
        pytest.param([[float(x) for x in range(13)]], r"disagree on \['T1w'\]", id="a modality"),
        pytest.param([[5.0] * 13, [5.0] * 13], "rise from landmark to landmark", id="all equal"),
    ],
)
def test_a_site_whose_sums_do_not_fit_is_refused_and_the_others_go_on(
    tmp_path: Path, rows: list[list[float]], words: str
) -> None:
    recipe = load_recipe("default", overrides=["standardization.method=nyul"])
    round_ = StatisticsPhase(recipe, EventLog(tmp_path / "events.jsonl")).round(RunState())
    exchange = next(round_)
    with pytest.raises(UpdateRejected, match=words):
        exchange.fold("odd", described(1, *rows))
    good = [float(x) for x in range(13)]
    exchange.fold("good", described(1, good, good))
    with pytest.raises(StopIteration) as ended:
        next(round_)
    assert ended.value.value.template["FLAIR"] == tuple(good)


@pytest.mark.parametrize("sums", [[float("nan")] * 3, ["1", "2", "x"], [1.0] * 14])
def test_sums_that_are_no_few_finite_numbers_do_not_pass_the_wire(sums: list[Any]) -> None:
    packed = pack(described(1, [1.0, 2, 3], [1.0, 2, 3]))
    header = json.loads(packed.header)
    header["fields"]["landmark_sums"]["FLAIR"] = sums
    with pytest.raises(WireError, match=r"SiteStatistics.landmark_sums.FLAIR"):
        unpack(Packed(json.dumps(header), b""), SiteStatistics)


def test_a_fixed_template_is_taken_as_it_stands(tmp_path: Path) -> None:
    row = [0.0, *range(20, 31), 100.0]
    recipe = load_recipe(
        "default",
        overrides=[
            "task.modalities=['FLAIR']",
            "standardization.method=nyul",
            "standardization.template_from=fixed",
            f"standardization.template.FLAIR={row}",
        ],
    )
    round_ = StatisticsPhase(recipe, EventLog(tmp_path / "events.jsonl")).round(RunState())
    nothing = dataclasses.replace(described(0), landmark_sums={"FLAIR": (0.0,) * 13})
    next(round_).fold("lyon", nothing)
    with pytest.raises(StopIteration) as ended:
        next(round_)
    assert ended.value.value.template == {"FLAIR": tuple(row)}
