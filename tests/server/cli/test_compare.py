from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import typer

from common.cli.run import run
from server.cli.compare import compare
from tests.server.compare.tables import row, run_folder

app = typer.Typer()
app.command()(compare)

GAINS = (0.1, 0.2, 0.3, 0.4, 0.5, -0.05)
"""p: ranks 1 to 6, the loss has rank 1: 2 x 2 / 64; effect (20 - 1) / 21."""


def called(*arguments: str | Path) -> int:
    return run(app, [str(a) for a in arguments], name="compare")


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The narrowest terminal that is common."""
    monkeypatch.setenv("COLUMNS", "80")


def two_runs(tmp_path: Path) -> tuple[Path, Path]:
    before = [row("east", f"sub-{n}", dice=0.3) for n in range(len(GAINS))]
    after = [row("east", f"sub-{n}", dice=0.3 + gain) for n, gain in enumerate(GAINS)]
    return run_folder(tmp_path / "before", before), run_folder(tmp_path / "after", after)


def test_the_table_shows_difference_interval_effect_and_both_p(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(*two_runs(tmp_path), "--metric", "dice") == 0

    shown = capsys.readouterr().out
    text = " ".join(shown.replace("│", " ").split())
    assert "after against before" in text
    assert "dice 6 0.300 0.542 +0.242 [+0." in text
    assert "dice +0.90 0.062 0.062 6 0 0" in text
    assert "east +0.242" in text
    assert "6 cases of east are in all the runs." in text
    assert "No significance test is made across sites" in text


def test_no_figure_is_cut_in_a_narrow_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = ("dice", "lesion_f1", "lesion_sensitivity", "lesion_ppv", "hd95_mm")
    runs = [
        run_folder(
            tmp_path / label,
            [row("site-1", f"sub-{n}", None, **dict.fromkeys(metrics, gain * n)) for n in range(5)],
        )
        for label, gain in (("a", 1.0), ("b", -90.0))
    ]
    assert called(*runs) == 0
    assert "\N{HORIZONTAL ELLIPSIS}" not in capsys.readouterr().out


def test_json_has_every_pair_of_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(*two_runs(tmp_path), "--metric", "dice", "--json") == 0

    told = json.loads(capsys.readouterr().out)
    [dice] = told["metrics"]
    assert (told["runs"], told["n_cases"]) == (["before", "after"], 6)
    assert dice["p"] == pytest.approx(4 / 64)
    assert [case["difference"] for case in dice["cases"]] == pytest.approx(GAINS)


def test_the_table_is_written_as_csv(tmp_path: Path) -> None:
    assert called(*two_runs(tmp_path), "--csv", tmp_path / "table.csv") == 0

    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["metric"] == "dice"
    assert float(rows[0]["mean_difference"]) == pytest.approx(1.45 / 6)
    assert rows[1]["p"] == ""


def test_different_case_sets_need_common_cases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = two_runs(tmp_path)
    fewer = run_folder(tmp_path / "fewer", [row("east", f"sub-{n}", dice=0.2) for n in range(3)])

    assert called(before, fewer) == 2
    assert "Of before, 3 are not: east sub-3, east sub-4, east sub-5" in capsys.readouterr().err
    assert called(before, fewer, after, "--common-cases") == 0
    text = capsys.readouterr().out
    assert "Left out of before: 3 cases not in all the runs." in text
    assert "after against before" in text


def test_one_run_alone_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(two_runs(tmp_path)[0]) == 2
    assert "at least two different runs" in capsys.readouterr().err
