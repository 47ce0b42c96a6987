"""What a person reads of an error, and the exit code."""

from __future__ import annotations

import pytest
import typer

from common.cli.run import FAILED, USAGE, run
from common.errors import ConfigError, LesionFedError, SiteDataError


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        pytest.param(
            OSError(28, "No space left on device", "runs/one/events.jsonl"),
            FAILED,
            "runs/one/events.jsonl: No space left on device. Check free space and permissions.\n",
            id="with its file",
        ),
        pytest.param(
            OSError(28, "No space left on device"),
            FAILED,
            "No space left on device. Check free space and permissions.\n",
            id="a write does not know its file",
        ),
        pytest.param(SiteDataError("no lesion"), FAILED, "SiteDataError: no lesion\n", id="ours"),
        pytest.param(ConfigError("no name"), USAGE, "ConfigError: no name\n", id="asked wrongly"),
    ],
)
def test_an_error_is_its_text_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: LesionFedError | OSError, code: int, said: str
) -> None:
    app = typer.Typer()

    @app.command()
    def fails() -> None:
        raise error

    assert run(app, [], name="tool") == code
    assert capsys.readouterr().err == said
