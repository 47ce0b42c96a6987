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
            "runs/one/events.jsonl: No space left on device. Free space there.\n",
            id="with its file",
        ),
        pytest.param(
            OSError(28, "No space left on device"),
            FAILED,
            "No space left on device. Free space there.\n",
            id="a write does not know its file",
        ),
        pytest.param(
            OSError(24, "Too many open files", "prepared/image.npy"),
            FAILED,
            "prepared/image.npy: Too many open files. Raise the limit on open files (`ulimit -n "
            "4096`; in a systemd unit LimitNOFILE) and start again.\n",
            id="not every refusal is a full disk",
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
