from __future__ import annotations

from pathlib import Path

import typer
from typer.testing import CliRunner

from server.cli.report import report
from tests.server.report.made_run import started, written

app = typer.Typer()
app.command()(report)


def test_the_path_of_the_report_is_printed(tmp_path: Path) -> None:
    folder = written(tmp_path / "toy", [started()], pictures=("east/sub-A",))

    result = CliRunner().invoke(app, [str(folder)])

    assert result.exit_code == 0
    assert result.stdout.strip() == str(folder / "report.html")
    assert "data:image/png" in (folder / "report.html").read_text()


def test_no_images_leaves_the_pictures_out(tmp_path: Path) -> None:
    folder = written(tmp_path / "toy", [started()], pictures=("east/sub-A",))

    result = CliRunner().invoke(app, [str(folder), "--no-images"])

    assert result.exit_code == 0
    assert "data:image/png" not in (folder / "report.html").read_text()


def test_a_folder_that_is_no_run_fails_with_one_message(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path)])

    assert result.exit_code == 1
    assert result.stderr.startswith("RunFolderError: ")
    assert "Traceback" not in result.stderr
