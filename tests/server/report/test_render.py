from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from common.errors import RunFolderError
from common.figures.page import UNDEFINED
from server.report.render import write_report
from tests.server.report.made_run import (
    Line,
    case,
    evaluated,
    reply,
    started,
    whole_run,
    written,
)

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a report holds: text, images, addresses, ids; refuses tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.images: list[dict[str, str]] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self._open: list[str] = []
        self._texts: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    @property
    def text(self) -> str:
        """The words, single-spaced; the dash of an undefined value as a hyphen."""
        return " ".join(" ".join(self._texts).split()).replace(UNDEFINED, "-")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        if tag == "img":
            self.images.append(values)
        if "id" in values:
            self.ids.append(values["id"])
        self.addresses += [values[key] for key in ("href", "src") if key in values]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self._texts.append(data)


def page(
    tmp_path: Path, lines: list[Line], *, pictures: tuple[str, ...] = (), images: bool = True
) -> Page:
    folder = written(tmp_path / "toy", lines, pictures=pictures)
    return Page(write_report(folder, images=images).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The report of the whole run with one picture; its charts are drawn, which takes a second."""
    return page(tmp_path_factory.mktemp("whole"), whole_run(), pictures=("east/sub-A",))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are left blank: the test is not about them."""
    monkeypatch.setattr("common.figures.curves.Chart.svg", lambda _: "<svg/>")


def test_the_report_needs_nothing_outside_itself(whole: Page) -> None:
    assert whole.addresses
    assert all(re.match(r"#\w|data:image/(png|svg\+xml);base64,", a) for a in whole.addresses)
    assert "http://" not in whole.html
    assert "https://" not in whole.html
    assert "script" not in whole.tags
    for address in whole.addresses:
        if address.startswith("data:image/svg"):
            svg = base64.b64decode(address.partition(",")[2]).decode()
            addresses = re.findall(r"https?://[^\"' >]+", svg)
            assert all(a.startswith("http://www.w3.org/") for a in addresses)


def test_every_image_has_a_description_and_every_link_a_target(whole: Page) -> None:
    curves = ("loss", "Dice", "lesion F1", "spread of the site head")
    verdict = ("dice", "lesion F1", "where", "volumes", "against", "size", "FROC", "threshold")
    probabilities = ("precision-recall", "reliability")
    assert len(whole.images) == len(curves) + len(verdict) + len(probabilities) + 1  # one picture
    assert all(image["alt"] for image in whole.images)
    assert {a[1:] for a in whole.addresses if a.startswith("#")} == set(whole.ids)
    assert len(whole.ids) == len(set(whole.ids))


def test_the_verdict_comes_first(whole: Page) -> None:
    text = whole.text

    verdict = text.index("mean Dice of 0.600 over 2 of 4 planned cases")
    assert verdict < text.index("Case by case") < text.index("Round by round")
    mean, median_and_quartiles, pooled = "0.600 n = 2", "0.600 0.50-0.70", "-"
    assert (
        f"Network, round 2 {mean} {median_and_quartiles} {pooled} "
        "0.500 n = 2 0.600 n = 1 1.000 n = 1 3 / 4"
    ) in text
    assert "FLAIR threshold (baseline) 0.200 0.200 0.15-0.25 - - - - 2 / 2" in text
    assert "Network before training (round 0) 0.010 0.010 0.01-0.01 - - - - 2 / 2" in text
    assert "FLAIR above 1.75 standard deviations" in text
    assert "Worst site" not in text


@pytest.mark.usefixtures("undrawn")
def test_the_worst_of_several_unseen_sites_is_named(tmp_path: Path) -> None:
    sites = [{"name": name, "role": "unseen"} for name in ("one", "two")]
    lines = [
        started(sites=sites),
        evaluated("one", 1, [case("A", 0.7)]),
        evaluated("two", 1, [case("A", 0.25)]),
    ]
    assert "Worst site: two , mean Dice 0.250." in page(tmp_path, lines).text


def test_every_planned_case_has_a_row_with_its_figures_or_its_reason(whole: Page) -> None:
    text = whole.text

    assert "east sub-A 0.800 0.750 0.600 1.000 5 3 12.34 9.87 0.300 - 0.000" in text
    assert "east sub-C_ses-01 failed: FLAIR is cut off <short> - - -" in text
    assert "east sub-D - - - - - 0 - 0.00 - - -" in text
    assert "- is undefined" in text


def test_sites_rounds_failures_template_recipe_and_environment_are_reported(whole: Page) -> None:
    text = whole.text

    assert "north trains 5 2 1 41.5 1 2 3" in text
    assert "west held out, validation 1 case to be judged on" in text
    assert "training 2 south SiteDataError no-lesions" in text
    assert "training 1 2 / 2 3.0 MB 4 min 05 s" in text
    assert "training 2 1 / 2 south 1.5 MB 9.0 s" in text
    assert "FLAIR 0.3100 0.6200 0.7500" in text
    assert 'description = "two sites, one <unseen>"' in text
    assert "ab" * 32 in text
    assert "packages.torch 2.13.0" in text


def test_a_site_whose_update_was_over_a_bound_is_named(whole: Page, tmp_path: Path) -> None:
    limited: Line = {"event": "site-limited", "phase": "training", "round": 2, "site": "south"}
    limited |= {"limit": "cases", "found": 1e7, "allowed": 5}
    text = page(tmp_path, [*whole_run(), limited]).text
    assert "training 2 south says it trained on 1e+07 cases and counts as 5, as many as" in text
    assert "over a bound" not in whole.text


def test_the_definition_of_a_lesion_is_that_of_the_recipes_preset(whole: Page) -> None:
    text = whole.text

    assert "Preset msseg2016 Connectivity 6 neighbours" in text
    assert "larger than 3 mm³" in text
    assert "more than 10 % of a lesion must be covered" in text


@pytest.mark.usefixtures("undrawn")
def test_names_from_elsewhere_cannot_become_markup(tmp_path: Path) -> None:
    odd = '<script>alert("x")</script> & "co"'
    lines = [
        started(run=odd, sites=[{"name": odd, "role": "train"}, {"name": odd, "role": "unseen"}]),
        reply(odd, 1, loss=0.5, head_spread=0.0),
        evaluated(odd, 1, [{"subject": odd, "failed": odd}]),
        {"event": "selected", "round": 1, "by": odd},
        {"event": "run-finished", "status": "failed", "reason": odd},
    ]
    made = page(tmp_path, lines)

    assert "script" not in made.tags
    assert f"LesionFed run {odd}" in made.text
    assert f"This run failed. {odd}" in made.text


@pytest.mark.usefixtures("undrawn")
def test_pictures_of_patients_come_with_a_banner(tmp_path: Path) -> None:
    made = page(tmp_path, whole_run(), pictures=("east/sub-A", "east/sub-B"))

    assert "contains images of patients. Do not pass it on." in made.text
    assert made.html.count("data:image/png") == 2
    assert "east: sub-A" in made.text


@pytest.mark.usefixtures("undrawn")
def test_a_report_without_pictures_has_none_and_says_so(tmp_path: Path) -> None:
    made = page(tmp_path, whole_run(), pictures=("east/sub-A",), images=False)

    assert "data:image/png" not in made.html
    assert "Images of patients were left out" in made.text
    assert "Do not pass it on" not in made.text
    assert "pictures" not in made.ids


@pytest.mark.parametrize(
    ("spread", "warned"),
    [
        pytest.param(0.0, True, id="no spread"),
        pytest.param(0.0099, True, id="below 0.02 of the 0.5 of two sites"),
        pytest.param(0.0101, False, id="above it"),
        pytest.param(None, False, id="no head"),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_a_site_head_that_answers_alike_at_all_sites_in_the_last_round_is_warned_of(
    tmp_path: Path, spread: float | None, warned: bool
) -> None:
    """What the head's spread is at one site does not count: a perfect head has none there."""
    lines = [
        started(),
        reply("north", 1, loss=0.9, head_spread=0.0),
        measured(1, 0.3),
        reply("north", 2, loss=0.8, head_spread=0.0),
        *([] if spread is None else [measured(2, spread)]),
    ]
    text = page(tmp_path, lines).text
    assert ("The site head has collapsed" in text) is warned


def measured(at: int, spread: float) -> Line:
    return {
        "event": "head-measured",
        "phase": "training",
        "round": at,
        "head_spread_all": spread,
        "n_outputs": 2,
    }


PROBED = {
    "event": "site-probed",
    "accuracy": 0.75,
    "low": 0.6,
    "high": 0.9,
    "chance": 0.5,
    "n_subjects": 8,
    "recalls": {"north": 1.0, "south": 0.5},
    "not_probed": [],
}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        pytest.param({}, "Yes. A linear probe names the right site for 75.0 %", id="told"),
        pytest.param({}, "interval 60.0 to 90.0); by chance it would be 50.0 %", id="figures"),
        pytest.param({}, "Site Patches named right, % north 100.0 south 50.0", id="by site"),
        pytest.param({"low": 0.45}, "Not shown. A linear probe", id="chance inside"),
        pytest.param(
            {"low": 0.5}, "That does not prove that there is none", id="chance at the end"
        ),
        pytest.param({"not_probed": ["west"]}, "Not probed: west", id="one left out"),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_the_site_probe_is_told_with_interval_and_chance(
    tmp_path: Path, facts: Line, words: str
) -> None:
    made = page(tmp_path, [*whole_run(), PROBED | facts])
    assert words in made.text
    assert "site-probe" in made.ids


@pytest.mark.usefixtures("undrawn")
def test_a_site_probe_that_was_not_measured_says_why(tmp_path: Path) -> None:
    event = {"event": "site-not-probed", "reason": "no shares came from north"}
    assert "Not measured: no shares came from north." in page(tmp_path, [started(), event]).text


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_a_site_probe_has_no_section_for_it(whole: Page) -> None:
    assert "site-probe" not in whole.ids


@pytest.mark.parametrize(("low", "told"), [(0.6, True), (0.4, False)])
@pytest.mark.usefixtures("undrawn")
def test_a_collapsed_head_beside_features_that_tell_the_sites_is_said_to_be_so(
    tmp_path: Path, low: float, told: bool
) -> None:
    lines = [started(), reply("north", 1, loss=0.9), measured(1, 0.0), PROBED | {"low": low}]
    text = page(tmp_path, lines).text
    assert "The site head has collapsed" in text
    assert ("The features do tell the sites apart" in text) is told


@pytest.mark.parametrize(
    ("end", "words"),
    [
        pytest.param([], "This run has not ended.", id="going on"),
        pytest.param(
            [{"event": "run-finished", "status": "failed", "reason": "QuorumNotMet: 1 of 2"}],
            "This run failed. QuorumNotMet: 1 of 2",
            id="failed",
        ),
        pytest.param(
            [{"event": "run-finished", "status": "stopped", "reason": None}],
            "This run was stopped before its end. No reason was recorded.",
            id="stopped",
        ),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_how_a_run_ended_is_said_on_top(tmp_path: Path, end: list[Line], words: str) -> None:
    text = page(tmp_path, [*whole_run()[:-1], *end]).text
    assert 0 <= text.index(words) < text.index("Verdict on sites")


@pytest.mark.parametrize("n_events", range(1, len(whole_run())))
@pytest.mark.usefixtures("undrawn")
def test_a_run_has_its_report_wherever_it_was_cut_off(tmp_path: Path, n_events: int) -> None:
    assert "This run has not ended." in page(tmp_path, whole_run()[:n_events]).text


def test_a_run_without_an_unseen_site_says_that_it_has_no_verdict(tmp_path: Path) -> None:
    lines = [started(sites=[{"name": "north", "role": "train"}])]
    assert "No unseen site was given, so there is no verdict." in page(tmp_path, lines).text


def test_a_folder_with_events_only_still_has_its_report(tmp_path: Path) -> None:
    folder = written(tmp_path / "toy", [started()])
    (folder / "recipe.toml").unlink()
    (folder / "environment.json").unlink()

    text = Page(write_report(folder).read_text(encoding="utf-8")).text

    assert "holds no recipe.toml" in text
    assert "holds no environment.json" in text
    assert "no recipe that names a known definition of a lesion" in text


def test_a_folder_that_is_no_run_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="want the events of a run"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


NEW_LESIONS = """\
[task]
modalities = ["FLAIR"]
target = "new-lesions"
"""


@pytest.mark.usefixtures("undrawn")
def test_a_run_on_new_lesions_is_reported_in_the_words_of_its_task(tmp_path: Path) -> None:
    folder = written(tmp_path / "toy", whole_run(), pictures=("east/sub-A",))
    (folder / "recipe.toml").write_text(NEW_LESIONS, encoding="utf-8")

    text = Page(write_report(folder).read_text(encoding="utf-8")).text

    assert "new lesions on FLAIR of two dates" in text
    assert "New lesions: verdict on sites that took no part" in text
    assert "That is above the FLAIR change threshold (0.200)." in text
    assert "FLAIR change threshold (baseline) 0.200" in text
    assert "has risen by more than one number from the earlier date to the later" in text
    assert "New lesions, n" in text
    assert "FLAIR threshold" not in text


@pytest.mark.usefixtures("undrawn")
def test_a_run_on_the_cord_speaks_of_no_brain_in_its_own_words(tmp_path: Path) -> None:
    folder = written(tmp_path / "toy", whole_run(), pictures=("east/sub-A",))
    recipe = """\
[task]
modalities = ["T2w"]

[preprocessing]
steps = ["cord", "resample"]
"""
    (folder / "recipe.toml").write_text(recipe, encoding="utf-8")

    text = Page(write_report(folder).read_text(encoding="utf-8")).text

    assert "lesions on T2w, cord region" in text
    assert "T2w threshold (baseline) 0.200" in text
    assert "reliability count the voxels of the cord region" in text
    assert "brain" not in text


@pytest.mark.usefixtures("undrawn")
def test_splits_test_cases_lesion_metric_and_hard_negatives_are_reported(tmp_path: Path) -> None:
    def part(n: int) -> Line:
        return {"n_subjects": n, "n_cases": n + 1, "n_lesions": 7, "lesion_volume_ml": 1.25}

    figures = {"n_pairs": 400, "mae": 0.0625, "bias": -0.03, "spearman": 0.9}
    found = {"event": "reply", "phase": "mining", "round": 1}
    lines = [
        started(),
        {"event": "site-split", "site": "north", "parts": {"training": part(5), "test": part(2)}},
        {"event": "site-split", "site": "south", "parts": {"training": part(6)}},
        {"event": "lesion-metric", **figures, "n_by_bin": [40] * 10},
        {**found, "site": "north", "facts": {"n_cases": 5, "n_negatives": 1200}},
        {**found, "site": "south", "facts": {"n_cases": 6, "n_negatives": 34}},
        {
            "event": "site-test",
            "threshold": 0.45,
            "n_cases": 3,
            "mean_dice": 0.5,
            "mean_lesion_f1": None,
        },
    ]
    text = page(tmp_path, lines).text

    assert "north 6 (5) 7 1.2 3 (2) 7 1.2 south 7 (6) 7 1.2 - - -" in text
    assert "Over 3 cases that the training sites kept for a test" in text
    assert "(0.45): mean Dice 0.500, mean lesion F1 -." in text
    assert "the images of these cases too are in the template" in text
    assert "On 400 pairs that it was not trained on, its mean absolute error is 0.062" in text
    assert "bias -0.030 and its rank correlation with the true value 0.90" in text
    assert "misses its aims" not in text
    assert "drifts" not in text
    assert "mining 1 2 / 2 1,234" in text


@pytest.mark.usefixtures("undrawn")
def test_a_lesion_metric_that_misses_its_aims_or_drifts_is_reported(tmp_path: Path) -> None:
    """Differences of 0.25 and 0.31 in rounds 1 and 2; where one of the two is undefined, none."""

    def reply(index: int, estimated: float, true: float | None) -> Line:
        facts = {"estimated_lesion_f1": estimated, "true_lesion_f1": true}
        line = {"event": "reply", "phase": "training", "round": index, "site": "north"}
        return {**line, "facts": facts}

    figures = {"n_pairs": 400, "mae": 0.0625, "bias": -0.03, "spearman": 0.9, "accepted": False}
    lines = [
        started(),
        {"event": "lesion-metric", **figures},
        reply(1, 0.5, 0.25),
        reply(2, 0.8125, 0.5),
        reply(3, 0.9, None),
    ]
    text = page(tmp_path, lines).text
    verdict = text[: text.index("Round by round")]
    assert (
        "The lesion metric misses its aims on 400 pairs of masks that it has not seen: mean "
        "absolute error 0.062, want at most 0.06; rank correlation 0.900, want at least 0.95. "
        "Training rounds that used it: 1, 2."
    ) in verdict
    assert "The lesion metric drifts: in training rounds 2 its estimate" in verdict


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_line_is_said_and_a_round_begun_again_is_counted_once(tmp_path: Path) -> None:
    round_1 = {"phase": "training", "round": 1, "sites": ["north"]}
    lines = [
        started(),
        {"event": "round-started", **round_1},
        {"event": "run-resumed", "phase": "", "round": 0, "training_round": 0},
        {"event": "round-started", **round_1},
    ]
    folder = written(tmp_path / "toy", lines)
    with (folder / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write("no event\n")
    text = Page(write_report(folder).read_text(encoding="utf-8")).text
    assert "resumed 1 time, 1 round begun again" in text
    assert "line 5 cannot be read, and what was recorded there is missing here" in text
    assert text.count("not finished") == 1


def test_a_sweep_whose_lists_do_not_fit_is_refused_with_what_to_do(tmp_path: Path) -> None:
    sweep = {"threshold": 0.5, "by": "dice", "split": "validation", "n_cases": 2}
    means = {"thresholds": [0.5], "mean_dice": [-0.1], "mean_lesion_f1": [0.3]}
    lines = [*whole_run(), {"event": "threshold-chosen", **sweep, **means}]
    with pytest.raises(RunFolderError, match=r"threshold-chosen: mean_dice: .*Restore"):
        write_report(written(tmp_path / "toy", lines), bundle=tmp_path / "bundle.zip")
