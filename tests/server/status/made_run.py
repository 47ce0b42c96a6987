"""A run folder whose events are written by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from common.recipe.recipe import load_recipe
from server.run.run_folder import Consortium, EnrolledSite, RunFolder

START = datetime(2026, 3, 2, 8, 0, 0, tzinfo=UTC)
DEADLINE_S = 600.0
"""Of the recipe; with the slack of 120 s a run is stalled after 720 s without an event."""


def at(seconds: float) -> datetime:
    """A moment so many seconds after the start."""
    return START + timedelta(seconds=seconds)


def made_run(
    folder: Path, *events: tuple[float, str, dict[str, Any]], rounds: int = 5
) -> RunFolder:
    """A run of three sites with these events: seconds after the start, kind, facts."""
    run = RunFolder(folder)
    recipe = load_recipe(
        "default",
        overrides=[
            f"federation.rounds={rounds}",
            f"federation.round_deadline_s={DEADLINE_S}",
            "federation.wait_for_sites_s=100.0",
        ],
    )
    sites = tuple(EnrolledSite(name=name, public_key=f"key {name}") for name in ("a", "b", "c"))
    run.create(recipe, Consortium(run="r1", sites=sites))
    lines = [
        json.dumps({"time": at(seconds).isoformat(), "event": kind, **facts})
        for seconds, kind, facts in events
    ]
    run.events_file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return run


def started(seconds: float = 0) -> tuple[float, str, dict[str, Any]]:
    """The first event of a run with three sites and a held-out one."""
    names = [{"name": name, "role": "train"} for name in ("a", "b", "c")]
    sites = [*names, {"name": "d", "role": "unseen"}]
    facts = {"run": "r1", "engine": "deployment", "recipe_name": "default", "sites": sites}
    return seconds, "run-started", {**facts, "recipe_sha256": "ab" * 32, "code_digest": "cd" * 32}


def round_started(
    seconds: float, index: int, *sites: str, phase: str = "training"
) -> tuple[float, str, dict[str, Any]]:
    return seconds, "round-started", {"phase": phase, "round": index, "sites": list(sites)}


def reply(
    seconds: float, index: int, site: str, size_bytes: int = 1000, *, phase: str = "training"
) -> tuple[float, str, dict[str, Any]]:
    facts = {"phase": phase, "round": index, "site": site, "size_bytes": size_bytes}
    return seconds, "reply", facts


def failed(
    seconds: float, index: int, site: str, code: str, *, phase: str = "training"
) -> tuple[float, str, dict[str, Any]]:
    facts = {"phase": phase, "round": index, "site": site, "error": "SiteDataError", "code": code}
    return seconds, "site-failed", facts


def round_finished(
    seconds: float, index: int, *, phase: str = "training"
) -> tuple[float, str, dict[str, Any]]:
    return seconds, "round-finished", {"phase": phase, "round": index, "n_replies": 2}


def checkpoint(
    seconds: float, index: int, *, phase: str = "training"
) -> tuple[float, str, dict[str, Any]]:
    facts = {"phase": phase, "round": index, "file": f"{index:06d}.safetensors"}
    return seconds, "checkpoint", facts
