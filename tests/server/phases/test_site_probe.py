from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.arrays import FloatArray
from common.errors import UpdateRejected
from common.learning.site_discriminant import SiteDiscriminant
from common.model_file import Model, write_model
from common.recipe.recipe import load_recipe
from common.wire.field_types import Arrays
from common.wire.messages import (
    Assignment,
    AttributionRequest,
    AttributionSums,
    FeatureRequest,
    FeatureSums,
)
from server.cli.run_result import run_result, show_result
from server.events.event_log import EventLog
from server.events.history import read_run
from server.events.site_probed import SiteNotProbed, SiteProbed
from server.phases.site_probe import SiteProbePhase
from server.rounds.phase import Exchange
from server.run.run_folder import RunFolder
from server.run.run_state import RunState, Selected
from server.simulate import lay_out, simulate
from tests.server.report.made_run import started
from tests.toy_sites import write_site

TINY = (
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "sampling.batch_size=1",
    "optimizer.steps=1",
    "federation.rounds=1",
    "inference.threshold_from=fixed",
    "inference.overlap=0",
    "compute.threads=1",
)
N_FEATURES = 8
N_PATCHES = 4
SELECTED = RunState(selected=Selected(round_index=3, by="the last round", score=None))
SITES = ("lyon", "ghent", "turin")
Halves = tuple[FloatArray, FloatArray]
"""Features of each half, (subjects, patches, F)."""


def features_of(seed: int, *, away: float = 0.0, n: int = 6) -> Halves:
    """Of one site; `away` from the others in the first feature."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n, N_PATCHES, N_FEATURES))
    features[..., 0] += away
    return features[: n // 2], features[n // 2 :]


def sums_of(of_indices: Mapping[int, Halves]) -> FeatureSums:
    """What a site that has these features sends first."""
    arrays: Arrays = {}
    for number, name in enumerate(("first", "second")):
        flat = [halves[number].reshape(-1, N_FEATURES) for halves in of_indices.values()]
        if flat:
            apart = np.concatenate([f - f.mean(axis=0) for f in flat])
            arrays[f"{name}.means"] = np.stack([f.mean(axis=0) for f in flat])
            arrays[f"{name}.scatter"] = apart.T @ apart
    counts = [(len(first), len(second)) for first, second in of_indices.values()]
    return FeatureSums(
        site_indices=tuple(of_indices),
        n_subjects=tuple(counts),
        n_patches=tuple((N_PATCHES * a, N_PATCHES * b) for a, b in counts),
        features=arrays,
    )


def shares_of(of_indices: Mapping[int, Halves], request: AttributionRequest) -> AttributionSums:
    """What it sends then."""
    shares, squares = [], []
    for index, (first, second) in of_indices.items():
        row = request.site_indices.index(index)
        named = []
        for half, fitted_on in ((first, "second"), (second, "first")):
            fitted = SiteDiscriminant(
                weights=request.discriminants[f"{fitted_on}.weights"],
                offsets=request.discriminants[f"{fitted_on}.offsets"],
            )
            named.append((fitted.attribute(half) == row).mean(axis=1))
        shares.append((float(named[0].sum()), float(named[1].sum())))
        squares.append((float((named[0] ** 2).sum()), float((named[1] ** 2).sum())))
    return AttributionSums(
        site_indices=tuple(of_indices),
        n_subjects=tuple((len(first), len(second)) for first, second in of_indices.values()),
        shares=tuple(shares),
        squares=tuple(squares),
    )


def assignment(site: str, index: int) -> Assignment:
    return Assignment(
        run="r",
        phase="site-probe",
        round_index=1,
        recipe="{}",
        code_digest="d",
        site=site,
        site_index=index,
        n_sites=3,
        exchange_id="0" * 32,
    )


class Held:
    """One site probe whose sites have these features."""

    def __init__(self, folder: Path, sites: Mapping[str, tuple[str, ...]] | None = None) -> None:
        recipe = load_recipe("default", overrides=TINY)
        model = Model(
            recipe=recipe,
            template={"FLAIR": (0.25, 0.875, 1.25)},
            threshold=0.5,
            round_index=3,
            run="r",
            parameters={"w": np.array([-1.5], np.float32)},
        )
        write_model(model, folder / "model.safetensors")
        self.events_file = folder / "events.jsonl"
        phase = SiteProbePhase(
            model_file=folder / "model.safetensors",
            sites=sites or {site: (site,) for site in SITES},
            events=EventLog(self.events_file),
        )
        self._round = phase.round(SELECTED)
        self.exchange: Exchange = next(self._round)

    def ask_again(self, sums: Mapping[str, FeatureSums]) -> Exchange:
        for site, answer in sums.items():
            self.exchange.accumulate(site, answer)
        self.exchange = next(self._round)
        return self.exchange

    def end(self) -> dict[str, Any]:
        with pytest.raises(StopIteration) as ended:
            next(self._round)
        assert ended.value.value == SELECTED
        event: dict[str, Any] = json.loads(self.events_file.read_text("utf-8").splitlines()[-1])
        return event

    def probe(self, of_sites: Mapping[str, Mapping[int, Halves]]) -> dict[str, Any]:
        again = self.ask_again({site: sums_of(found) for site, found in of_sites.items()})
        request = again.request(assignment("lyon", 0))
        assert isinstance(request, AttributionRequest)
        for site, found in of_sites.items():
            probed = {index: halves for index, halves in found.items() if halves}
            again.accumulate(site, shares_of(probed, request))
        return self.end()


def three(*, away: float) -> dict[str, dict[int, Halves]]:
    return {
        site: {index: features_of(index, away=away * index)} for index, site in enumerate(SITES)
    }


def test_sites_whose_features_lie_far_apart_are_told_apart(tmp_path: Path) -> None:
    event = Held(tmp_path).probe(three(away=30.0))
    assert event["event"] == "site-probed"
    assert (event["accuracy"], event["high"], event["chance"]) == (1.0, 1.0, pytest.approx(1 / 3))
    assert 0.5 < event["low"] < 1
    assert event["recalls"] == {"lyon": 1.0, "ghent": 1.0, "turin": 1.0}
    assert (event["n_subjects"], event["not_probed"]) == (18, [])


def test_sites_whose_features_are_alike_are_not(tmp_path: Path) -> None:
    event = Held(tmp_path).probe(three(away=0.0))
    assert event["low"] < event["chance"] < event["high"]


def test_the_result_does_not_depend_on_who_was_quicker(tmp_path: Path) -> None:
    found = three(away=0.5)
    here = Held(tmp_path).probe(found)
    there = Held(tmp_path).probe(dict(reversed(found.items())))
    assert {**here, "time": ""} == {**there, "time": ""}


def test_a_site_without_enough_subjects_is_left_out_and_named(tmp_path: Path) -> None:
    event = Held(tmp_path).probe({**three(away=30.0), "ghent": {}})
    assert event["recalls"] == {"lyon": 1.0, "turin": 1.0}
    assert (event["chance"], event["not_probed"]) == (0.5, ["ghent"])


def test_one_site_alone_is_not_probed_and_the_reason_is_told(tmp_path: Path) -> None:
    held = Held(tmp_path)
    held.exchange.accumulate("lyon", sums_of({0: features_of(0)}))
    held.exchange.accumulate("ghent", sums_of({}))
    event = held.end()
    assert event["event"] == "site-not-probed"
    assert event["reason"].startswith("1 of 3 training sites sent sums")
    run = tmp_path / "run.jsonl"
    begin = {"time": event["time"], **started()}
    run.write_text(f"{json.dumps(begin)}\n{json.dumps(event)}\n", encoding="utf-8")
    assert isinstance(read_run(run).site_probe, SiteNotProbed)


def test_a_probe_that_nobody_answers_does_not_cost_the_verdict(tmp_path: Path) -> None:
    held = Held(tmp_path)
    assert held.exchange.quorum == 0
    assert held.end()["event"] == "site-not-probed"


def test_a_site_that_is_silent_the_second_time_leaves_no_figure(tmp_path: Path) -> None:
    found = three(away=1.0)
    held = Held(tmp_path)
    again = held.ask_again({site: sums_of(of_site) for site, of_site in found.items()})
    assert again.quorum == 0
    request = again.request(assignment("lyon", 0))
    assert isinstance(request, AttributionRequest)
    for site in ("lyon", "turin"):
        again.accumulate(site, shares_of(found[site], request))
    event = held.end()
    assert (event["event"], event["reason"]) == ("site-not-probed", "no shares came from ghent")


def test_one_place_with_the_cases_of_several_sites_is_probed_alike(tmp_path: Path) -> None:
    together = {index: features_of(index, away=30.0 * index) for index in range(3)}
    event = Held(tmp_path, {"pooled": SITES}).probe({"pooled": together})
    assert event["recalls"] == {"lyon": 1.0, "ghent": 1.0, "turin": 1.0}
    apart = Held(tmp_path).probe(three(away=30.0))
    assert event["low"] == pytest.approx(apart["low"], abs=1e-12)


def changed(**changes: Any) -> FeatureSums:
    sums = sums_of({1: features_of(1)})
    fields = {name: getattr(sums, name) for name in sums.__dataclass_fields__}
    return FeatureSums(**fields | changes)


def with_array(name: str, array: Any) -> FeatureSums:
    return changed(features=changed().features | {name: array})


def edited(name: str, place: tuple[int, int], value: float) -> FeatureSums:
    array = changed().features[name].copy()
    array[place] = value
    return with_array(name, array)


HUGE = np.full((N_FEATURES, N_FEATURES), 1e300)


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        pytest.param(changed(site_indices=(0,)), "site_indices: want its own", id="another's"),
        pytest.param(changed(site_indices=(1, 1)), "site_indices", id="one index twice"),
        pytest.param(changed(n_subjects=()), "n_subjects, n_patches", id="no count"),
        pytest.param(changed(n_subjects=((0, 3),)), "n_subjects, n_patches", id="no subject"),
        pytest.param(changed(n_patches=((2, 12),)), "not fewer than subjects", id="few patches"),
        pytest.param(changed(features={}), "want float64 arrays", id="no arrays"),
        pytest.param(
            with_array("third.means", np.zeros(3)), "want float64 arrays", id="one array more"
        ),
        pytest.param(
            with_array("first.means", np.zeros((1, 9))), "want float64 arrays", id="9 features"
        ),
        pytest.param(
            with_array("first.means", np.zeros((1, 8), np.float32)), "float32", id="float32"
        ),
        pytest.param(edited("first.means", (0, 3), np.nan), "want finite means", id="nan"),
        pytest.param(edited("first.means", (0, 3), -1e7), "want finite means", id="a huge mean"),
        pytest.param(edited("second.scatter", (1, 1), np.inf), "want finite means", id="infinite"),
        pytest.param(with_array("first.scatter", HUGE), "want finite means", id="huge scatter"),
        pytest.param(edited("first.scatter", (0, 1), 5.0), "want a symmetric", id="not symmetric"),
        pytest.param(
            edited("second.scatter", (2, 2), -1.0), "without negative variance", id="negative"
        ),
        pytest.param(
            with_array("first.scatter", np.ones((8, 8)) * 3 - 2.5 * np.eye(8) - np.eye(8)),
            "without negative variance",
            id="correlated above 1",
        ),
    ],
)
def test_moments_that_cannot_be_of_features_are_left_out_and_their_site_named(
    tmp_path: Path, sums: FeatureSums, words: str
) -> None:
    held = Held(tmp_path)
    with pytest.raises(UpdateRejected, match=f"site ghent: .*{words}"):
        held.exchange.accumulate("ghent", sums)
    held.exchange.accumulate("lyon", sums_of({0: features_of(0)}))
    assert held.end()["event"] == "site-not-probed"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"site_indices": (0,)}, "want sums over the subjects of its features"),
        ({"n_subjects": ((3, 4),)}, "want sums over the subjects of its features"),
        ({"site_indices": (), "n_subjects": (), "shares": (), "squares": ()}, "got \\(\\)"),
        ({"shares": ((1.0, 1.0), (1.0, 1.0))}, "want sums over the subjects"),
        ({"squares": ()}, "want sums over the subjects"),
        ({"shares": ((3.1, 1.0),)}, "shares: want a sum from 0 to 3 subjects"),
        ({"squares": ((0.1, 0.1),)}, "squares: want a sum from"),
    ],
)
def test_shares_that_do_not_fit_what_came_before_are_left_out_and_their_site_named(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    found = three(away=1.0)
    held = Held(tmp_path)
    again = held.ask_again({site: sums_of(of_site) for site, of_site in found.items()})
    fields: dict[str, Any] = {
        "site_indices": (1,),
        "n_subjects": ((3, 3),),
        "shares": ((2.0, 1.0),),
        "squares": ((1.5, 0.5),),
    }
    with pytest.raises(UpdateRejected, match=f"site ghent: .*{words}"):
        again.accumulate("ghent", AttributionSums(**fields | changes))
    assert again.accumulate("ghent", AttributionSums(**fields)) == {"n_subjects": 6}


def test_a_site_that_sent_no_features_cannot_send_shares(tmp_path: Path) -> None:
    found = three(away=1.0)
    held = Held(tmp_path)
    again = held.ask_again({site: sums_of(found[site]) for site in ("lyon", "turin")})
    request = again.request(assignment("ghent", 1))
    assert isinstance(request, AttributionRequest)
    assert request.site_indices == (0, 2)
    forged = AttributionSums(
        site_indices=(0,), n_subjects=((3, 3),), shares=((0.0, 0.0),), squares=((0.0, 0.0),)
    )
    with pytest.raises(UpdateRejected, match=r"site ghent: .*features, \{\}, got \(0,\)"):
        again.accumulate("ghent", forged)


VALUES = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None)
@given(
    row=st.integers(0, N_FEATURES - 1),
    column=st.integers(0, N_FEATURES - 1),
    variance=VALUES,
    covariance=VALUES,
    mean=VALUES,
)
def test_whatever_a_site_sends_is_refused_or_gives_an_event(
    tmp_path_factory: pytest.TempPathFactory,
    row: int,
    column: int,
    variance: float,
    covariance: float,
    mean: float,
) -> None:
    held = Held(tmp_path_factory.mktemp("run"))
    sums = sums_of({1: features_of(1)})
    for half in ("first", "second"):
        sums.features[f"{half}.means"][0, row] = mean
        scatter = sums.features[f"{half}.scatter"]
        scatter[row, column] = scatter[column, row] = covariance
        scatter[row, row] = variance
    found = three(away=1.0)
    del found["ghent"]
    for site, of_site in found.items():
        held.exchange.accumulate(site, sums_of(of_site))
    try:
        held.exchange.accumulate("ghent", sums)
    except UpdateRejected:
        return
    again = held.ask_again({})
    request = again.request(assignment("lyon", 0))
    assert isinstance(request, AttributionRequest)
    assert all(np.isfinite(array).all() for array in request.discriminants.values())
    for site, of_site in found.items():
        again.accumulate(site, shares_of(of_site, request))
    assert held.end()["event"] == "site-not-probed"  # ghent gave no shares


def test_the_sites_get_the_selected_network_and_only_training_sites_are_asked(
    tmp_path: Path,
) -> None:
    held = Held(tmp_path)
    request = held.exchange.request(assignment("lyon", 0))
    assert isinstance(request, FeatureRequest)
    np.testing.assert_array_equal(request.parameters["w"], [-1.5])
    assert held.exchange.roles == ("train",)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Three hospitals train: two of four subjects, one of a single subject."""
    base = tmp_path_factory.mktemp("run")
    data = {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=n).parent
        / "bids"
        for seed, (name, n) in enumerate((("lyon", 4), ("bonn", 4), ("oslo", 1)))
    }
    folder = RunFolder(base / "run")
    lay_out(
        folder,
        load_recipe("default", overrides=[*TINY, "federation.site_validation_share=0"]),
        sites=data,
    )
    simulate(folder, images=False)
    return folder


def test_a_whole_run_ends_with_a_probe_of_the_sites_that_have_two_subjects(
    finished: RunFolder,
) -> None:
    history = read_run(finished.events_file)
    assert isinstance(history.site_probe, SiteProbed)
    assert history.finished is not None
    assert history.finished.status == "completed"
    assert set(history.site_probe.recalls) == {"lyon", "bonn"}
    assert (history.site_probe.chance, history.site_probe.n_subjects) == (0.5, 8)
    assert history.site_probe.not_probed == ("oslo",)
    assert not history.failures


def test_the_report_shows_the_probe(finished: RunFolder) -> None:
    text = (finished.path / "report.html").read_text("utf-8")
    assert 'id="site-probe"' in text
    assert "not probed" in text.casefold()


def test_the_result_and_its_print_have_the_probe(
    finished: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = run_result(finished)["site_probe"]
    assert (probe["chance"], probe["n_subjects"]) == (0.5, 8)
    assert probe["low"] <= probe["accuracy"] <= probe["high"]
    show_result(finished)
    words = f"site probe: {probe['accuracy']:.3f} of patches named right ({probe['low']:.3f} to"
    assert words in " ".join(capsys.readouterr().out.split())
