from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from common.cli.run import run
from common.recipe.recipe import load_recipe
from server.cli.evaluate import evaluate
from server.evaluation.case_row import CaseRow, Value

app = typer.Typer()
app.command()(evaluate)


def row(
    site: str, subject: str, dice: float | None, volumes_ml: tuple[float, float], **more: Value
) -> CaseRow:
    reference_ml, predicted_ml = volumes_ml
    metrics: dict[str, Value] = {
        "dice": dice,
        "lesion_f1": dice,
        "n_reference_lesions": None if dice is None else 2,
        "n_predicted_lesions": 1,
        "reference_volume_mm3": None if dice is None else 1000 * reference_ml,
        "predicted_volume_mm3": 1000 * predicted_ml,
        **more,
    }
    return CaseRow(site=site, subject=subject, metrics=metrics)


ROWS = {
    # quartiles of 0.2, 0.4, 0.9: 0.3 and 0.65; differences +1, -1, +3 ml, deviation 2
    "porto": [
        row("porto", "sub-01", 0.2, (4, 5)),
        row("porto", "sub-02", 0.4, (4, 3)),
        row("porto", "sub-03", 0.9, (4, 7)),
    ],
    # a pooled Dice of 2 * 8 / (2 * 8 + 3 + 1); one case without lesions, one failed
    "lund": [
        row("lund", "sub-01", 0.75, (2, 2), tp_voxels=8, fp_voxels=2, fn_voxels=1),
        row("lund", "sub-02", None, (0, 1), tp_voxels=0, fp_voxels=1, fn_voxels=0),
        CaseRow(site="lund", subject="sub-03", failed="quarantined by intake"),
    ],
    "graz": [CaseRow(site="graz", subject="sub-01", failed="no lesion mask to score against")],
}


@pytest.fixture(autouse=True)
def scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read or segmented: the rows are those above."""

    def rows(
        _model: object,
        sites: Mapping[str, Path],
        *,
        on_case: Callable[[str, int, int], None],
        **_settings: object,
    ) -> dict[str, list[CaseRow]]:
        for number, site in enumerate(sites, start=1):
            on_case(site, number, len(sites))
        return {site: ROWS[site] for site in sites}

    model = SimpleNamespace(recipe=load_recipe("default"))
    monkeypatch.setattr("common.model_file.read_model", lambda _: model)
    monkeypatch.setattr("server.evaluation.evaluate.evaluate", rows)
    monkeypatch.setenv("COLUMNS", "200")


def called(tmp_path: Path, *sites: str, more: tuple[str, ...] = ()) -> int:
    arguments = ["model.safetensors", "--out", str(tmp_path / "out"), *more]
    for site in sites:
        (tmp_path / site).mkdir()
        arguments += ["--held-out", f"{site}={tmp_path / site}"]
    return run(app, arguments, name="evaluate")


def words(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


def test_a_case_that_failed_with_a_code_is_followed_by_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = [CaseRow(site="graz", subject=f"sub-0{n}", failed="scanner-reference") for n in (1, 2)]
    monkeypatch.setitem(ROWS, "graz", failed)
    assert called(tmp_path, "graz") == 1
    text = words(capsys.readouterr().out)
    assert text.count("does not fit the prepared one. The site runs `lesionfed-site prepare`") == 1


def test_each_site_is_summed_up_below_its_cases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(tmp_path, "porto", "lund") == 1  # one planned case has no score

    text = words(capsys.readouterr().out)
    assert "lund sub-03 failed: quarantined by intake" in text
    assert "porto 3 / 3 0.500 0.400 [0.300, 0.650] - 0.500 +1.00 [-2.92, +4.92]" in text
    # volume differences 0 and +1 ml: bias 0.5, deviation 0.7071, limits 0.5 -+ 1.386
    assert (
        "lund 2 / 3 0.750 (n = 1) 0.750 [0.750, 0.750] 0.800 0.750 (n = 1) +0.50 [-0.89, +1.89]"
    ) in text


def test_the_worst_of_several_sites_is_named_with_its_planned_cases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(tmp_path, "porto", "lund", "graz") == 1

    text = words(capsys.readouterr().out)
    assert "Worst site: porto, mean Dice 0.500 over 3 of 3 planned cases." in text
    assert "No Dice is defined at: graz." in text


def test_one_site_alone_is_not_called_the_worst(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(tmp_path, "porto") == 0
    assert "Worst site" not in capsys.readouterr().out


def test_json_has_cases_sites_and_the_worst_site(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(tmp_path, "porto", "lund", "graz", more=("--json",)) == 1

    told = json.loads(capsys.readouterr().out)
    assert [CaseRow.from_dict(case) for case in told["cases"]] == [
        case for of_site in ROWS.values() for case in of_site
    ]
    assert [(site["site"], site["n_scored"], site["n_planned"]) for site in told["sites"]] == [
        ("porto", 3, 3),
        ("lund", 2, 3),
        ("graz", 0, 1),
    ]
    assert told["sites"][0]["volume_agreement"]["bias_ml"] == pytest.approx(1.0)
    assert told["sites"][1]["false_detections"]["n"] == 1
    assert told["worst_site"] == "porto"


def test_a_site_without_a_path_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(tmp_path, more=("--held-out", "porto")) == 2
    assert "want NAME=PATH" in capsys.readouterr().err


def test_where_the_cases_were_scored_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One grid: a sentence. Two: a column as well, and a failed case has neither."""
    assert called(tmp_path, "porto") == 0
    text = words(capsys.readouterr().out)
    assert "Scored on the grid of the prepared images: no reference on the scanner's own" in text
    assert "grid" not in text.partition("sub-01")[0]
    own = dataclasses.replace(
        row("faro", "sub-01", 0.5, (2, 2), n_lesions_lost_by_resampling=4), grid="scanner"
    )
    monkeypatch.setitem(ROWS, "faro", [own])
    assert called(tmp_path, "faro", "lund") == 1
    text = words(capsys.readouterr().out)
    assert "faro sub-01 scanner 0.500" in text
    assert "lund sub-01 prepared 0.750" in text
    assert "lund sub-03 - failed" in text
    assert "1 of 3 scored cases on the scanner's own grid" in text
    assert "4 reference lesions are lost by resampling to the prepared grid and still" in text
