"""`lesionfed`: the coordinator's, evaluator's and researcher's command line."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from common.cli.run import run as run_command_line
from server.cli.compare import compare
from server.cli.enrol import enrol
from server.cli.evaluate import evaluate
from server.cli.leave_site_out import leave_site_out
from server.cli.logs import logs
from server.cli.model import model
from server.cli.phantom import phantom
from server.cli.predict import predict
from server.cli.preflight import preflight
from server.cli.provision import provision
from server.cli.recipes import recipes
from server.cli.report import report
from server.cli.resume import resume
from server.cli.rotate import rotate
from server.cli.run import run
from server.cli.runs import runs
from server.cli.score import score
from server.cli.serve import serve
from server.cli.simulate import simulate
from server.cli.sites import sites
from server.cli.status import status
from server.cli.stop import stop
from server.cli.study import study
from server.cli.threshold import threshold


def build_parser() -> typer.Typer:
    """All commands of `lesionfed`; each imports torch and the like only when it runs."""
    app = typer.Typer(
        help="Train one lesion segmentation over many hospitals, and judge it on unseen sites.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for command in (
        simulate,
        leave_site_out,
        study,
        threshold,
        evaluate,
        compare,
        report,
        predict,
        score,
        phantom,
        provision,
        preflight,
        enrol,
        sites,
        rotate,
        serve,
        run,
        status,
        resume,
        stop,
        runs,
        logs,
    ):
        app.command(command.__name__.replace("_", "-"))(command)
    app.add_typer(recipes, name="recipes")
    app.add_typer(model, name="model")
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 1 (failed), 2 (usage)."""
    return run_command_line(build_parser(), argv, name="lesionfed")
