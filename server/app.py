"""The ServerApp: wiring only."""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.errors import ConfigError
from server.conduct import conduct
from server.run_folder import RunFolder

RUN_FOLDER_KEY = "run-folder"

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Conducts the run whose folder at the coordinator the run config names."""
    folder = context.run_config.get(RUN_FOLDER_KEY)
    if not isinstance(folder, str) or not folder:
        raise ConfigError(f'--run-config should say {RUN_FOLDER_KEY} = "path of a run folder"')
    conduct(grid, RunFolder(Path(folder)), engine="deployment")
