"""A hospital's folder changes while a run lasts; who trains and who judges does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.phases import run_split
from client.phases.site_cases import own_cases
from client.site.settings import Site, read_site
from common.errors import SiteDataError
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.split import PARTS, Split
from common.recipe.recipe import Recipe, load_recipe
from tests.toy_sites import write_site

N = 8
SHARES = (
    "standardization.method=z-score",
    "federation.site_validation_share=0.25",
    "federation.site_threshold_share=0.125",
    "federation.site_test_share=0.25",
)
RECIPE = load_recipe("default", overrides=SHARES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Eight subjects with lesions, of whom a test takes the first few; not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    return read_site(write_site(folder, name="lyon", seed=0, n_subjects=N))


@pytest.fixture
def site(tmp_path: Path, whole: Site) -> Site:
    """The first six of them."""
    site = Site(name="lyon", data=tmp_path / "bids", work=tmp_path / "work")
    shutil.copytree(whole.data, site.data)
    for number in (7, 8):
        remove(site, f"sub-{number:02d}")
    return site


def places_of(site: Site, subject: str) -> list[Path]:
    return [site.data / subject, site.data / "derivatives" / "manual" / subject]


def remove(site: Site, *subjects: str) -> None:
    for subject in subjects:
        for folder in places_of(site, subject):
            shutil.rmtree(folder)


def bring(site: Site, whole: Site, *subjects: str) -> None:
    for subject in subjects:
        for source, target in zip(places_of(whole, subject), places_of(site, subject), strict=True):
            shutil.copytree(source, target)


def parts(split: Split) -> dict[str, str]:
    return {case.subject: part for part in PARTS for case in getattr(split, part)}


def split(site: Site, run: str = "run", recipe: Recipe = RECIPE) -> Split:
    return own_cases(site, recipe, {}, run=run)


def test_a_subject_that_comes_during_the_run_trains_and_nobody_else_changes_part(
    site: Site, whole: Site
) -> None:
    before = parts(split(site))
    bring(site, whole, "sub-07", "sub-08")
    after = split(site)
    assert parts(after) == before | {"sub-07": "training", "sub-08": "training"}
    assert (after.n_new_subjects, after.n_lost_subjects) == (2, 0)
    # split anew, as it was before, two of eight instead of two of six are kept, and others
    assert parts(split(site, run="another")) != parts(after)


def test_a_subject_that_is_gone_leaves_its_part_and_comes_back_to_it(
    site: Site, whole: Site
) -> None:
    before = split(site)
    judge, learner = before.test[0].subject, before.training[0].subject
    remove(site, judge, learner)
    without = split(site)
    assert parts(without) == {s: p for s, p in parts(before).items() if s not in (judge, learner)}
    assert (without.n_new_subjects, without.n_lost_subjects) == (0, 2)
    bring(site, whole, judge, learner)
    assert parts(split(site)) == parts(before)
    assert split(site).n_lost_subjects == 0


def test_who_came_during_the_run_trains_also_after_an_absence(site: Site, whole: Site) -> None:
    split(site)
    bring(site, whole, "sub-07")
    assert split(site).n_new_subjects == 1
    remove(site, "sub-07")
    assert split(site).n_new_subjects == 0
    bring(site, whole, "sub-07")
    assert parts(split(site))["sub-07"] == "training"


def test_another_run_and_another_recipe_have_a_split_of_their_own(site: Site) -> None:
    remove(site, "sub-05", "sub-06")
    split(site)
    bring_back = load_recipe("default", overrides=[*SHARES, "seed=5"])
    assert {parts(split(site, run="b", recipe=bring_back))["sub-01"]} <= set(PARTS)
    assert len(list((site.work / "splits").glob("*.json"))) == 2
    split(site, run="b")
    assert len(list((site.work / "splits").glob("*.json"))) == 3


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(days=st.lists(st.sets(st.integers(1, N), min_size=1), min_size=1, max_size=6))
def test_whatever_comes_and_goes_no_subject_is_ever_in_two_parts(
    days: list[set[int]], whole: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every day's folder holds other subjects; who is new after the first day only trains."""
    work = tmp_path_factory.mktemp("work")
    cases = {case.subject: case for part in PARTS for case in getattr(split(whole), part)}
    site = whole.model_copy(update={"work": work})
    seen: dict[str, str] = {}
    for number, day in enumerate(days):
        here = [cases[f"sub-{i:02d}"] for i in sorted(day)]
        learns = seen and any(seen.get(c.subject, "training") == "training" for c in here)
        if seen and not learns:
            with pytest.raises(SiteDataError, match="every subject with a lesion that trained"):
                on_day(site, here)
            continue
        now = on_day(site, here)
        assert parts(now).keys() == {case.subject for case in here}
        for subject, part in parts(now).items():
            assert seen.setdefault(subject, part) == part
            assert number == 0 or subject in parts_of_first(days) or part == "training"


def parts_of_first(days: list[set[int]]) -> set[str]:
    return {f"sub-{i:02d}" for i in days[0]}


def on_day(site: Site, here: list[PreparedCase]) -> Split:
    return run_split.run_split(here, site, RECIPE, run="run", split_anew=lambda: drawn(here))


def drawn(here: list[PreparedCase]) -> Split:
    """The first trains, the others are kept one by one."""
    return Split.of_parts({part: here[number::4] for number, part in enumerate(PARTS)})


def test_a_site_whose_training_subjects_are_all_gone_says_so(site: Site) -> None:
    remove(site, *{case.subject for case in split(site).training})
    with pytest.raises(SiteDataError, match=r"every subject with a lesion that trained") as refused:
        split(site)
    assert refused.value.code == "training-subjects-gone"


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"\xff", b'{"part_of": {"sub-01": "judge"}, "later": []}', b"[" * 100_000],
)
def test_a_split_that_cannot_be_read_is_never_made_anew(site: Site, damage: bytes) -> None:
    split(site)
    [file] = (site.work / "splits").glob("*.json")
    file.write_bytes(damage)
    with pytest.raises(SiteDataError, match=r"who trains and who judges .* cannot be read") as no:
        split(site)
    assert no.value.code == "split-damaged"


def test_only_the_owner_can_read_who_is_in_which_part(site: Site) -> None:
    split(site)
    [file] = (site.work / "splits").glob("*.json")
    assert file.stat().st_mode & 0o077 == 0


def test_a_site_remembers_the_last_runs_and_no_more(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_split, "KEPT_RUNS", 2)
    for run in ("a", "b", "a", "c"):
        split(site, run=run)
    names = {run_split._file(site, RECIPE, run).name for run in ("a", "c")}
    assert {path.name for path in (site.work / "splits").glob("*.json")} == names


def test_a_split_that_another_run_forgets_meanwhile_ends_no_run(site: Site) -> None:
    split(site, run="a")
    (site.work / "splits" / "gone.json").symlink_to("removed")  # listed, and gone when looked at
    assert parts(split(site, run="b"))
