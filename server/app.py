"""The ServerApp: wiring only."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.errors import ConfigError
from server.execute_run import execute_run
from server.notify.notifier import Notifier
from server.run.notify_settings import Notify
from server.run.run_folder import RunFolder
from server.status.run_status import quiet_limit_s

RUN_FOLDER_KEY = "run-folder"

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Executes the run whose folder at the coordinator the run config names."""
    path = context.run_config.get(RUN_FOLDER_KEY)
    if not isinstance(path, str) or not path:
        raise ConfigError(f'--run-config should say {RUN_FOLDER_KEY} = "path of a run folder"')
    folder = RunFolder(Path(path))
    consortium = folder.consortium()
    with Notifier(
        consortium.notify or Notify(),
        federation=consortium.federation,
        run=consortium.run,
        folder=folder.path,
        stall_s=quiet_limit_s(folder.recipe()),
    ) as notifier:
        execute_run(grid, folder, engine="deployment", listener=notifier)
