from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import SiteDataError, UpdateRejected, WireError
from common.recipe.recipe import load_recipe
from common.wire.codec import Packed, pack, unpack
from common.wire.messages import Assignment, SiteStatistics
from server.aggregation.site_weight import Declared
from server.events.event_log import EventLog
from server.phases.statistics import StatisticsPhase
from server.run.run_state import RunState

N_LANDMARKS = {"two-step": 3, "nyul": 13}
GOOD = {"two-step": [0.5, 1.0, 1.5], "nyul": [0.0, *(float(x) for x in range(20, 31)), 100.0]}
"""Method -> landmarks that a subject can have."""


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
        exchange.accumulate(site, unpack(pack(reply), SiteStatistics))
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
    if method == "two-step":  # around 1, as centres lie around the subject's mean
        subjects /= subjects[..., 1:2]
    else:  # from 0 to 100
        subjects -= subjects[..., :1]
        subjects *= 100 / subjects[..., -1:]
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
def test_a_site_whose_sums_do_not_fit_is_refused_and_the_others_continue(
    tmp_path: Path, rows: list[list[float]], words: str
) -> None:
    recipe = load_recipe("default", overrides=["standardization.method=nyul"])
    round_ = StatisticsPhase(recipe, EventLog(tmp_path / "events.jsonl")).round(RunState())
    exchange = next(round_)
    with pytest.raises(UpdateRejected, match=words):
        exchange.accumulate("odd", described(1, *rows))
    good = GOOD["nyul"]
    exchange.accumulate("good", described(1, good, good))
    with pytest.raises(StopIteration) as ended:
        next(round_)
    assert ended.value.value.template["FLAIR"] == tuple(good)


def refused(folder: Path, method: str, reply: SiteStatistics, *, template_from: str = "all") -> str:
    """Why the site is refused, when its neighbour's sums alone make the template."""
    settings = [
        f"standardization.method={method}",
        f"standardization.template_from={template_from}",
    ]
    recipe = load_recipe("default", overrides=settings)
    round_ = StatisticsPhase(recipe, EventLog(folder / "events.jsonl")).round(RunState())
    exchange = next(round_)
    good = described(1, GOOD[method], GOOD[method])
    exchange.accumulate("good", dataclasses.replace(good, n_controls=1))
    with pytest.raises(UpdateRejected) as error:
        exchange.accumulate("odd", unpack(pack(reply), SiteStatistics))
    with pytest.raises(StopIteration) as ended:
        next(round_)
    assert ended.value.value.template["FLAIR"] == tuple(GOOD[method])
    return str(error.value)


@pytest.mark.parametrize("scale", [1e300, 1.1e308, 1e-300])
@pytest.mark.parametrize("method", ["two-step", "nyul"])
@pytest.mark.parametrize("n_subjects", [1, 10**7])
def test_sums_no_images_can_have_are_refused_before_they_are_added(
    tmp_path: Path, method: str, scale: float, n_subjects: int
) -> None:
    row = [x * (scale / GOOD[method][-1]) for x in GOOD[method]]
    text = refused(tmp_path, method, described(n_subjects, row, row))
    assert text.startswith("site odd: template, FLAIR: want ")


def test_sums_whose_steps_are_past_the_largest_float_are_refused(tmp_path: Path) -> None:
    row = [-1.7e308, 0.0, 1.7e308]
    assert "want centres from 0..1" in refused(tmp_path, "two-step", described(1, row, row))


def test_a_site_cannot_count_more_subjects_than_cases(tmp_path: Path) -> None:
    row = [3 * x for x in GOOD["two-step"]]
    reply = dataclasses.replace(described(3, row, row), n_cases=2)
    assert "at most 2 subjects" in refused(tmp_path, "two-step", reply)


def test_a_site_cannot_count_more_subjects_than_controls(tmp_path: Path) -> None:
    row = [3 * x for x in GOOD["two-step"]]
    reply = dataclasses.replace(described(3, row, row), n_controls=1)
    text = refused(tmp_path, "two-step", reply, template_from="controls")
    assert "at most 1 subjects in the template's sums, one for each control, got 3" in text


@pytest.mark.parametrize("key", ["", "x" * 61, "missing-modality"])
def test_findings_are_counted_by_level_and_nothing_else_passes_the_wire(key: str) -> None:
    reply = dataclasses.replace(described(1), n_findings={"note": 1, "warning": 2, "blocking": 3})
    assert unpack(pack(reply), SiteStatistics) == reply
    packed = pack(reply)
    header = json.loads(packed.header)
    header["fields"]["n_findings"][key] = 1
    with pytest.raises(WireError, match=r"SiteStatistics.n_findings"):
        unpack(Packed(json.dumps(header), b""), SiteStatistics)


@pytest.mark.parametrize("sums", [[float("nan")] * 3, ["1", "2", "x"], [1.0] * 14])
def test_sums_that_are_no_few_finite_numbers_do_not_pass_the_wire(sums: list[Any]) -> None:
    packed = pack(described(1, [1.0, 2, 3], [1.0, 2, 3]))
    header = json.loads(packed.header)
    header["fields"]["landmark_sums"]["FLAIR"] = sums
    with pytest.raises(WireError, match=r"SiteStatistics.landmark_sums.FLAIR"):
        unpack(Packed(json.dumps(header), b""), SiteStatistics)


def test_the_trained_grid_spans_the_sites_that_train_and_say_it(tmp_path: Path) -> None:
    row = GOOD["two-step"]
    one = described(1, row, row)
    replies = {
        "lyon": dataclasses.replace(one, spacing_mm=(1.0, 1.2, 3.0), n_stripped=1),
        "porto": dataclasses.replace(one, spacing_mm=(1.1, 0.9, 3.0), n_stripped=0),
        "controls": dataclasses.replace(
            one, n_trainable=0, spacing_mm=(5.0, 5.0, 5.0), n_stripped=1
        ),
        "silent": one,
    }
    grid = template_of(tmp_path, "two-step", replies).trained_grid
    assert grid is not None
    assert (grid.lowest_mm, grid.highest_mm) == ((1.0, 0.9, 3.0), (1.1, 1.2, 3.0))
    assert (grid.stripped, grid.storage_order) == ("some", "RAS")
    assert template_of(tmp_path, "two-step", {"silent": one}).trained_grid is None


def test_a_site_cannot_have_stripped_more_cases_than_it_has(tmp_path: Path) -> None:
    row = GOOD["two-step"]
    reply = dataclasses.replace(described(1, row, row), spacing_mm=(1.0, 1.0, 1.0), n_stripped=2)
    assert "want at most 1 stripped cases" in refused(tmp_path, "two-step", reply)


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
    next(round_).accumulate("lyon", nothing)
    with pytest.raises(StopIteration) as ended:
        next(round_)
    assert ended.value.value.template == {"FLAIR": tuple(row)}


@pytest.mark.parametrize(("steps_are", "kept"), [("whole-epoch", True), ("per-site", False)])
def test_a_whole_epoch_is_divided_by_the_cases_of_the_sites_that_train(
    tmp_path: Path, steps_are: str, kept: bool
) -> None:
    """porto has the third index of two sites that train: it adds to the template alone."""
    recipe = load_recipe("default", overrides=[f"federation.steps_are={steps_are}"])
    round_ = StatisticsPhase(recipe, EventLog(tmp_path / "events.jsonl")).round(RunState())
    exchange = next(round_)
    for index, (site, n_subjects) in enumerate((("lyon", 3), ("ghent", 5), ("porto", 9))):
        exchange.request(
            Assignment(
                run="r",
                phase="statistics",
                round_index=1,
                recipe="{}",
                code_digest="c",
                site=site,
                site_index=index,
                n_sites=2,
                exchange_id="0" * 32,
            )
        )
        landmarks = [[n_subjects * value for value in (0.5, 1.0, 1.5)]] * 2
        described_site = described(n_subjects, *landmarks)
        exchange.accumulate(site, described_site)
    with pytest.raises(StopIteration) as ended:
        next(round_)
    assert ended.value.value.training_cases == ({"ghent": 5, "lyon": 3} if kept else {})
    assert ended.value.value.declared == {
        "ghent": Declared(n_cases=5, lesion_volume_ml=1.0),
        "lyon": Declared(n_cases=3, lesion_volume_ml=1.0),
    }  # not porto, which does not train


OPTIONAL = 'task.optional_modalities=["T1w"]'


def optional_template(folder: Path, replies: dict[str, SiteStatistics]) -> RunState:
    recipe = load_recipe("default", overrides=["standardization.method=two-step", OPTIONAL])
    round_ = StatisticsPhase(recipe, EventLog(folder / "events.jsonl")).round(RunState())
    exchange = next(round_)
    for site, reply in replies.items():
        exchange.accumulate(site, unpack(pack(reply), SiteStatistics))
    with pytest.raises(StopIteration) as ended:
        next(round_)
    state: RunState = ended.value.value
    return state


def test_a_modality_that_some_subjects_lack_has_the_mean_over_those_that_have_it(
    tmp_path: Path,
) -> None:
    """Lyon: 3 subjects, of whom 1 has T1w. Porto: 1 subject with both."""
    lyon = described(3, [1.5, 3.0, 4.5], [0.4, 1.0, 1.4])
    lyon = dataclasses.replace(lyon, n_template_without={"T1w": 2}, n_missing={"T1w": 2})
    porto = described(1, [0.7, 1.0, 1.1], [0.6, 1.0, 1.8])
    state = optional_template(tmp_path, {"lyon": lyon, "porto": porto})
    np.testing.assert_allclose(state.template["FLAIR"], [2.2 / 4, 1.0, 5.6 / 4])
    np.testing.assert_allclose(state.template["T1w"], [0.5, 1.0, 1.6])


def test_a_modality_that_no_site_has_ends_the_run_with_what_to_do(tmp_path: Path) -> None:
    lyon = described(2, [1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    lyon = dataclasses.replace(lyon, n_template_without={"T1w": 2}, n_missing={"T1w": 2})
    with pytest.raises(SiteDataError, match=r"no subject contributed its T1w .* Take it out of"):
        optional_template(tmp_path, {"lyon": lyon})


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        ({"n_missing": {"FLAIR": 1}}, r"n_missing: want optional modalities alone .* \['FLAIR'\]"),
        ({"n_template_without": {"FLAIR": 1}}, "n_template_without: want optional modalities"),
        ({"n_missing": {"T1w": 3}}, "n_missing: want at most its 2 cases"),
        ({"n_template_without": {"T1w": 3}}, "T1w: want 0 to 2 subjects without an image"),
        ({"n_template_without": {"T1w": 2}}, "T1w: want zeros from 0 subjects"),
    ],
)
def test_a_site_that_says_it_lacks_what_it_cannot_lack_is_refused(
    tmp_path: Path, odd: dict[str, Any], text: str
) -> None:
    reply = dataclasses.replace(described(2, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), **odd)
    with pytest.raises(UpdateRejected, match=rf"site lyon: .*{text}"):
        optional_template(tmp_path, {"lyon": reply})


def test_a_site_that_declares_ten_million_cases_takes_half_of_an_epoch_at_most(
    tmp_path: Path,
) -> None:
    """6 of 6 + 1 + 2 + 3 cases: else every other site would be asked for a single step."""
    recipe = load_recipe("default", overrides=["federation.steps_are=whole-epoch"])
    round_ = StatisticsPhase(recipe, EventLog(tmp_path / "events.jsonl")).round(RunState())
    exchange = next(round_)
    for index, (site, n_cases) in enumerate((("a", 10**7), ("b", 1), ("c", 2), ("d", 3))):
        assignment = Assignment(
            run="r",
            phase="statistics",
            round_index=1,
            recipe="{}",
            code_digest="c",
            site=site,
            site_index=index,
            n_sites=4,
            exchange_id="0" * 32,
        )
        exchange.request(assignment)
        landmarks = [[n_cases * value for value in (0.5, 1.0, 1.5)]] * 2
        exchange.accumulate(site, described(n_cases, *landmarks))
    with pytest.raises(StopIteration) as ended:
        next(round_)
    assert ended.value.value.training_cases == {"a": 6, "b": 1, "c": 2, "d": 3}
