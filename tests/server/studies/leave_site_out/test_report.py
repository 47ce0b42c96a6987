from __future__ import annotations

import re
from pathlib import Path

import pytest

from server.studies.leave_site_out.cells import cells_of
from server.studies.leave_site_out.grid import Field, grid
from server.studies.leave_site_out.plan import LeaveSiteOutPlan
from server.studies.leave_site_out.results import write_results
from server.studies.run_results import read_results
from server.studies.study_folder import StudyFolder
from tests.server.studies.leave_site_out.made_study import SITES, case, made_study
from tests.server.studies.leave_site_out.test_table import BASELINE, FAILED, FEDERATED, LOCAL


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    study = made_study(tmp_path_factory.mktemp("made"), FEDERATED | BASELINE | LOCAL, failed=FAILED)
    report = study.path / "federated" / "without-lyon" / "report.html"
    report.write_text("<p>a report", encoding="utf-8")
    write_results(study)
    return study.page_file.read_text("utf-8")


def test_the_page_says_what_failed_without_words_that_may_hold_paths(page: str) -> None:
    assert "4 of 9 runs have no result." in page
    assert page.count("<i>failed</i>") == 4
    assert "want of lesions" not in page


def test_the_page_links_each_report_that_is_there(page: str) -> None:
    assert re.findall(r'href="([^#"]+)"', page) == ["federated/without-lyon/report.html"]


def test_the_page_says_the_budget_in_numbers(page: str) -> None:
    # the default recipe at scale small: 4 rounds of 20 steps; 3 sites, one of them left out
    assert "takes 160 optimizer steps in all: 4 rounds &times; 20 steps &times; 2 sites" in page
    assert "Where it learns at one place, it takes 40 steps a round there." in page
    assert "The site loss (uniform) needs several sites" in page


def test_the_page_draws_every_federated_case_and_says_it_in_words(page: str) -> None:
    [alt] = re.findall(r'<img src="data:image/svg[^"]+" alt="([^"]+)"', page)
    assert "turin (worst site): 2 of 2 cases, mean 0.400" in alt


def test_the_page_holds_no_picture_no_script_and_no_address(page: str) -> None:
    assert "image/png" not in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_names_are_escaped(tmp_path: Path) -> None:
    made = made_study(tmp_path, {})
    study = StudyFolder(made.path.rename(tmp_path / "a<b>&c"), LeaveSiteOutPlan)
    write_results(study)
    page = study.page_file.read_text("utf-8")
    assert "a&lt;b&gt;&amp;c" in page
    assert "a<b>&c" not in page


def test_darker_is_higher_and_black_text_stays_legible() -> None:
    greys = [Field(value=value, note="").grey for value in (0.0, 0.5, 1.0)]
    # 255 x (1 - 0.45 x value)
    assert greys == ["rgb(255, 255, 255)", "rgb(198, 198, 198)", "rgb(140, 140, 140)"]


def test_a_network_is_not_judged_at_home_and_a_failed_one_says_so(tmp_path: Path) -> None:
    rows = {"local/lyon": [case("ghent", "01", 0.25), case("turin", "01", None)]}
    study = made_study(tmp_path, rows, failed={"local/turin": "lost"})
    lines = {
        line.label: line.fields
        for line in grid(
            cells_of(read_results(study)),
            sites=SITES,
            metric="dice_mean",
            threshold_name="FLAIR threshold",
        )
    }
    assert [(f.value, f.note) for f in lines["lyon alone"]] == [
        (None, "trained here"),
        (0.25, ""),
        (None, "undefined"),
    ]
    assert [f.note for f in lines["turin alone"]] == ["failed", "failed", "trained here"]
