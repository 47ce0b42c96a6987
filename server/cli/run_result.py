"""A run's end, as the commands that execute or follow one show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.events.history import RunHistory
    from server.run.run_folder import RunFolder


def run_result(folder: RunFolder) -> dict[str, Any]:
    """The run's end, for scripts; undefined figures are null."""
    from server.events.history import read_run
    from server.events.lesion_metric_warnings import warnings_of_run
    from server.report.verdict import missed_choices, site_verdict

    history = read_run(folder.events_file)
    verdicts = {site: site_verdict(history, site) for site in history.sites("unseen")}
    return {
        "run": str(folder.path),
        "status": None if history.finished is None else history.finished.status,
        "selected_round": None if history.selected is None else history.selected.round,
        "not_chosen": missed_choices(history),
        "unseen": {
            site: {
                name: {metric: s.metric(metric).mean for metric in ("dice", "lesion_f1")}
                for name, s in (
                    ("round 0", verdict.untrained),
                    ("intensity threshold", verdict.baseline),
                    ("end", verdict.network),
                )
                if s is not None
            }
            for site, verdict in verdicts.items()
        },
        "warnings": warnings_of_run(history),
        "site_probe": _site_probe(history),
        "model": str(folder.model_file),
        "report": str(folder.path / "report.html"),
    }


def _site_probe(history: RunHistory) -> dict[str, Any] | None:
    """Its figures; None where it was not measured."""
    from server.events.site_probed import SiteProbed

    probe = history.site_probe
    if not isinstance(probe, SiteProbed):
        return None
    return probe.model_dump(exclude={"time", "event"}, mode="json")


def show_result(folder: RunFolder) -> None:
    """Prints the verdict on each unseen site, warnings, and where model and report are."""
    from rich.console import Console
    from rich.table import Table

    from server.cli.run_progress import shown

    result = run_result(folder)
    console = Console()
    for site, methods in result["unseen"].items():
        table = Table("", "Dice", "lesion F1", title=f"unseen site {site}", title_justify="left")
        for method, figures in methods.items():
            table.add_row(method, shown(figures["dice"]), shown(figures["lesion_f1"]))
        console.print(table)
    if (probe := result["site_probe"]) is not None:
        console.print(
            f"site probe: {probe['accuracy']:.3f} of patches named right "
            f"({probe['low']:.3f} to {probe['high']:.3f}); by chance {probe['chance']:.3f}",
            highlight=False,
        )
    console.print(f"{result['status']}; round {result['selected_round']} selected", highlight=False)
    for warning in result["warnings"]:
        print(f"warning: {warning}")
    for missed in result["not_chosen"]:
        print(missed)
    print(f"model   {result['model']}")
    print(f"report  {result['report']}")
