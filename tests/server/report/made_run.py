"""Run folders written by hand, small enough to work every figure of the report out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from server.evaluation.evaluation_folder import EvaluationFolder
from tests.server.evaluation.made_evaluation import DEFINITION, baseline, failed, scored

Line = dict[str, Any]

PNG = b"\x89PNG\r\n\x1a\nnot a picture, but the report does not look inside"

RECIPE = """\
name = "toy"
description = "two sites, one <unseen>"

[task]
modalities = ["FLAIR"]

[evaluation]
preset = "msseg2016"
"""


def case(subject: str, dice: float | None, **facts: object) -> Line:
    """One scored case; lesion metrics follow from nothing and are given by name."""
    return {
        "subject": f"sub-{subject}",
        "session": None,
        "failed": None,
        "dice": dice,
        "lesion_sensitivity": None,
        "lesion_ppv": None,
        "lesion_f1": None,
        "n_reference_lesions": None,
        "n_predicted_lesions": 0,
        "reference_volume_mm3": None,
        "predicted_volume_mm3": 0.0,
        **facts,
    }


def failed_case(subject: str, reason: str) -> Line:
    """A case that was planned and could not be scored."""
    return {"subject": f"sub-{subject}", "session": "ses-01", "failed": reason}


def evaluated(
    site: str, at: int, cases: list[Line], *, role: str = "unseen", method: str = "network"
) -> Line:
    """The event of one held-out site scored."""
    return {
        "event": "evaluated",
        "round": at,
        "site": site,
        "role": role,
        "method": method,
        "cases": cases,
    }


def started(**changes: object) -> Line:
    """The first event: two training sites, a validation site and an unseen one."""
    roles = {"north": "train", "south": "train", "west": "validation", "east": "unseen"}
    return {
        "event": "run-started",
        "run": "toy",
        "engine": "inline",
        "recipe_name": "toy",
        "recipe_sha256": "ab" * 32,
        "code_digest": "cd" * 32,
        "sites": [{"name": name, "role": role} for name, role in roles.items()],
        **changes,
    }


def reply(site: str, at: int, **facts: object) -> Line:
    """A site's answer to a round of training."""
    return {
        "event": "reply",
        "phase": "training",
        "round": at,
        "site": site,
        "wall_s": 12.5,
        "size_bytes": 1_500_000,
        "facts": {"n_cases": 4, "lesion_volume_ml": 20.0, "site_loss": 0.7, **facts},
    }


def whole_run() -> list[Line]:
    """A completed run: statistics, baseline, two rounds; `south` fails once, a case fails too.

    east, the unseen site, at the end: sub-A Dice 0.8, sub-B 0.4, sub-C failed, sub-D undefined;
    the FLAIR threshold 0.3 and 0.1; before training 0.0 and 0.02.
    """
    both = {"sites": ["north", "south"]}
    lines: list[Line] = [started()]
    for name, role in (("north", "train"), ("south", "train"), ("east", "unseen")):
        lines.append(
            {
                "event": "site-described",
                "site": name,
                "role": role,
                "n_cases": 5,
                "n_quarantined": 1,
                "n_controls": 2,
                "lesion_volume_ml": 41.5,
                "n_findings": {"note": 3, "warning": 2, "blocking": 1},
            }
        )
    lines += [
        {"event": "round-started", "phase": "statistics", "round": 1, **both},
        {"event": "reply", "phase": "statistics", "round": 1, "site": "north", "facts": {}},
        {"event": "reply", "phase": "statistics", "round": 1, "site": "south", "facts": {}},
        {
            "event": "round-finished",
            "phase": "statistics",
            "round": 1,
            "wall_s": 3.25,
            "n_replies": 2,
        },
        {
            "event": "template",
            "method": "two-step",
            "landmarks": {"FLAIR": [0.31, 0.62, 0.75]},
            "n_subjects": 10,
        },
        {"event": "baseline-threshold", "modality": "FLAIR", "threshold_z": 1.75, "mean_dice": 0.2},
        evaluated("east", 0, [case("A", 0.3), case("B", 0.1)], method="baseline"),
        evaluated("east", 0, [case("A", 0.0), case("B", 0.02)]),
        evaluated("west", 0, [case("W", 0.01)], role="validation"),
        {"event": "round-started", "phase": "training", "round": 1, **both},
        reply("north", 1, loss=0.9, segmentation_loss=0.8, head_spread=0.2, validation_dice=0.05),
        reply("south", 1, loss=0.95, segmentation_loss=0.85, head_spread=0.1),
        {
            "event": "round-finished",
            "phase": "training",
            "round": 1,
            "wall_s": 245.0,
            "n_replies": 2,
        },
        {"event": "checkpoint", "phase": "training", "round": 1, "file": "round-1.safetensors"},
        {"event": "round-started", "phase": "training", "round": 2, **both},
        reply("north", 2, loss=0.5, segmentation_loss=0.4, head_spread=0.15, validation_dice=0.35),
        {
            "event": "site-failed",
            "phase": "training",
            "round": 2,
            "site": "south",
            "error": "SiteDataError",
            "code": "no-lesions",
        },
        {"event": "round-finished", "phase": "training", "round": 2, "wall_s": 9, "n_replies": 1},
        evaluated("west", 2, [case("W", 0.55, lesion_f1=0.5)], role="validation"),
        evaluated(
            "east",
            2,
            [
                case(
                    "A",
                    0.8,
                    lesion_f1=0.75,
                    lesion_sensitivity=0.6,
                    lesion_ppv=1.0,
                    n_reference_lesions=5,
                    n_predicted_lesions=3,
                    reference_volume_mm3=12_340.0,
                    predicted_volume_mm3=9_870.0,
                ),
                case("B", 0.4, lesion_f1=0.25),
                failed_case("C", "FLAIR is cut off <short>"),
                case("D", None),
            ],
        ),
        {"event": "selected", "round": 2, "by": "mean Dice of the validation sites"},
        {"event": "run-finished", "status": "completed", "reason": None},
    ]
    return lines


def written(
    folder: Path, lines: Iterable[Line], *, pictures: Iterable[str] = (), verdict: bool = False
) -> Path:
    """A run folder with these events, a recipe, an environment and `pictures` ("east/sub-A").

    verdict   with the tables of tests/server/evaluation/made_evaluation.py: a run that finished
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamped = (
        {"time": f"2026-03-01T10:{i // 60:02d}:{i % 60:02d}+00:00", **line}
        for i, line in enumerate(lines)
    )
    text = "".join(json.dumps(line) + "\n" for line in stamped)
    (folder / "events.jsonl").write_text(text, encoding="utf-8")
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    environment = {"python": "3.11.9", "packages": {"torch": "2.13.0"}}
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    evaluation = EvaluationFolder(folder / "evaluation")
    if verdict or pictures:
        evaluation.write(scored(), failed(), definition=DEFINITION)
        evaluation.write_baseline(baseline())
    for picture in pictures:
        path = folder / "evaluation" / f"{picture}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG)
    return folder
