"""`lesionfed logs`: what has happened in a run, or what Flower's programs wrote."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.cli.escaped_log import log_line
from common.errors import ConfigError
from server.cli.options import Federation, RunName

if TYPE_CHECKING:
    from server.federation.federation_folder import FederationFolder
    from server.run.run_folder import RunFolder

POLL_S = 0.5


def logs(
    run: RunName,
    federation: Federation,
    follow: Annotated[
        bool, typer.Option("--follow", help="Goes on until the run ends, or Ctrl-C.")
    ] = False,
    superlink: Annotated[
        bool, typer.Option("--superlink", help="The end of the SuperLink's log instead.")
    ] = False,
    superexec: Annotated[
        bool, typer.Option("--superexec", help="The end of the SuperExec's log instead.")
    ] = False,
    serverapp: Annotated[
        bool,
        typer.Option("--serverapp", help="What the process that executes the run wrote instead."),
    ] = False,
    lines: Annotated[int, typer.Option(help="How much of the end of a log.", min=1)] = 100,
) -> None:
    """Shows what has happened in a run, a line an event."""
    from server.federation.federation_folder import FederationFolder
    from server.flower.run_control import existing_run

    if superlink + superexec + serverapp + follow > 1:
        raise ConfigError("want at most one of --follow, --superlink, --superexec and --serverapp")
    folder = FederationFolder(federation)
    existing = existing_run(folder, run)
    if superlink or superexec:
        _show_end(folder.logs / f"{'superlink' if superlink else 'superexec'}.log", lines)
    elif serverapp:
        _show_serverapp(folder, existing, lines)
    else:
        _show_events(existing, follow=follow)


def _show_end(path: Path, n_lines: int) -> None:
    if not path.exists():
        raise ConfigError(f"{path}: no such log. It is begun by `lesionfed serve`.")
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in deque(file, maxlen=n_lines):
            print(log_line(line))


def _show_serverapp(folder: FederationFolder, run: RunFolder, n_lines: int) -> None:
    from server.federation.flower_connection import CONNECTION
    from server.flower.flwr_command import flwr_text
    from server.flower.submission import require_served, submissions

    require_served(folder)
    for submission in submissions(run):
        print(f"--- submitted {submission.time}, Flower's run {submission.flower_run_id}")
        text = flwr_text(folder, "log", submission.flower_run_id, CONNECTION, "--show")
        for line in text.splitlines()[-n_lines:]:
            print(log_line(line))


def _show_events(run: RunFolder, *, follow: bool) -> None:
    from server.events.event_text import event_text
    from server.events.schema import RunFinished
    from server.flower.watch import EventTail

    tail, ended = EventTail(run.events_file), False
    try:
        while True:
            for event in tail.new():
                print(event_text(event), flush=True)
                ended = isinstance(event, RunFinished)
            if ended or not follow:
                return
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        return
