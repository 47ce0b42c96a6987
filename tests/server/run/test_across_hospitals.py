from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from client.phases.statistics import describe_site
from client.site.settings import Policy, Site, read_site
from common.errors import ConfigError
from common.imaging.intake.image_digests import salted
from common.recipe.recipe import load_recipe
from common.wire.codec import pack, unpack
from common.wire.messages import DigestQuestion, SaltedDigests, SiteStatistics
from server.events.event_log import EventLog
from server.phases.phase_list import phases_of
from server.phases.statistics import StatisticsPhase
from server.run.across_hospitals import AcrossHospitals
from server.run.data_record import DataRecord, places_of, write_record
from server.run.leakage import examined_places
from server.run.run_folder import Consortium, EnrolledSite, RunFolder
from server.run.run_state import RunState
from tests.toy_sites import write_site

RECIPE = load_recipe("default", overrides=["standardization.method=z-score"])
NOTHING_HERE = DataRecord(labels_are_local=False, places=())


def hospital(folder: Path, name: str, *, seed: int, label: str, gives: bool = True) -> Site:
    """A toy hospital of one subject, sub-LABEL01; images of one seed are the same."""
    made = read_site(write_site(folder / name, name=name, seed=seed, n_subjects=1, label=label))
    return made.model_copy(update={"policy": Policy(min_subjects=1, share_digests=gives)})


def answer(site: Site, question: DigestQuestion | None) -> SiteStatistics:
    """What the coordinator reads of it, from the wire."""
    described = describe_site(RECIPE, site, question=question)
    return unpack(pack(described), SiteStatistics)


def compared(own: DataRecord, *sites: Site) -> None:
    across = AcrossHospitals(own)
    answers = {site.name: answer(site, across.question).digests for site in sites}
    across.require_apart({name: given for name, given in answers.items() if given is not None})


def test_a_digest_is_the_sha_256_of_salt_and_value_and_their_order_says_nothing() -> None:
    expected = [hashlib.sha256(text).hexdigest() for text in (b"ab12 sub-1", b"ab12 sub-2")]
    assert salted(["sub-2", "sub-1"], salt="ab12") == tuple(sorted(expected))
    assert not set(salted(["sub-1"], salt="ab13")) & set(expected)


def test_one_image_at_two_hospitals_is_told_with_both_names(tmp_path: Path) -> None:
    lyon = hospital(tmp_path, "lyon", seed=1, label="L")
    ghent = hospital(tmp_path, "ghent", seed=2, label="G")
    twin = hospital(tmp_path, "turin", seed=1, label="T")
    compared(NOTHING_HERE, lyon, ghent)
    with pytest.raises(ConfigError, match=r"lyon and turin have one image in common"):
        compared(NOTHING_HERE, lyon, ghent, twin)


def test_one_label_at_two_hospitals_is_told_and_not_asked_for_where_labels_are_local(
    tmp_path: Path,
) -> None:
    lyon = hospital(tmp_path, "lyon", seed=1, label="X")
    ghent = hospital(tmp_path, "ghent", seed=2, label="X")
    with pytest.raises(ConfigError, match=r"ghent and lyon have one subject label in common"):
        compared(NOTHING_HERE, lyon, ghent)
    small = hospital(tmp_path, "turin", seed=3, label="x")
    with pytest.raises(ConfigError, match=r"lyon and turin have one subject label in common"):
        compared(NOTHING_HERE, lyon, small)
    local = NOTHING_HERE.model_copy(update={"labels_are_local": True})
    compared(local, lyon, ghent)
    given = answer(lyon, AcrossHospitals(local).question).digests
    assert given is not None
    assert given.labels == ()


def test_the_coordinators_own_site_is_compared_with_the_hospitals(tmp_path: Path) -> None:
    porto = hospital(tmp_path, "porto", seed=1, label="P")
    own = examined_places(
        places_of({"porto": porto.data}, "unseen"), recipe=RECIPE, labels_are_local=False
    )
    lyon = hospital(tmp_path, "lyon", seed=1, label="L")
    with pytest.raises(ConfigError, match=r"held-out site porto \(.* and lyon have one image"):
        compared(own, lyon)


def test_without_the_policy_or_the_question_nothing_leaves(tmp_path: Path) -> None:
    question = AcrossHospitals(NOTHING_HERE).question
    assert Policy().share_digests is False
    assert (
        answer(hospital(tmp_path, "lyon", seed=1, label="L", gives=False), question).digests is None
    )
    assert answer(hospital(tmp_path, "ghent", seed=2, label="G"), None).digests is None


def test_what_leaves_holds_no_label_and_another_salt_gives_other_digests(tmp_path: Path) -> None:
    lyon = hospital(tmp_path, "lyon", seed=1, label="L")
    first, second = (answer(lyon, DigestQuestion(salt=f"{n:032x}", labels=True)) for n in (1, 2))
    assert "sub-L01" not in pack(first).header
    assert first.digests is not None
    assert second.digests is not None
    assert len(first.digests.labels) == 1
    assert not set(first.digests.images) & set(second.digests.images)


def test_the_run_ends_in_its_first_phase_and_the_log_holds_no_digest(tmp_path: Path) -> None:
    across = AcrossHospitals(NOTHING_HERE)
    log = tmp_path / "events.jsonl"
    round_ = StatisticsPhase(RECIPE, EventLog(log), across=across).round(RunState())
    exchange = next(round_)
    for name, label in (("lyon", "L"), ("turin", "T")):
        site = hospital(tmp_path, name, seed=1, label=label)
        exchange.accumulate(name, answer(site, across.question))
    with pytest.raises(ConfigError, match="lyon and turin have one image in common"):
        next(round_)
    shared = answer(site, across.question).digests
    assert isinstance(shared, SaltedDigests)
    assert not any(digest in log.read_text("utf-8") for digest in shared.images)


@pytest.mark.parametrize(("federation", "asks"), [("ms-north", True), (None, False)])
def test_only_a_federation_is_asked_for_digests(
    tmp_path: Path, federation: str | None, asks: bool
) -> None:
    folder = RunFolder(tmp_path)
    write_record(folder.data_record_file, NOTHING_HERE)
    sites = (EnrolledSite(name="lyon", public_key="k"),)
    consortium = Consortium(run="r", sites=sites, federation=federation)
    log = EventLog(tmp_path / "events.jsonl")
    phase, *_ = phases_of(RECIPE, consortium, log, folder=folder)
    assert isinstance(phase, StatisticsPhase)
    assert (phase._across is not None) == asks
