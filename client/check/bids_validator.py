"""What the official BIDS validator has to say, where the site has it installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from common.errors import ConfigError, SiteDataError
from common.imaging.intake.findings import Finding, first_of, on_folder

PROGRAMS = {"bids-validator-deno": ("--format", "json"), "bids-validator": ("--json",)}
"""Program -> how it is asked for JSON; the first that is installed is run."""

INSTALL = "pip install bids-validator-deno"
TIMEOUT_S = 1800


def validated(root: Path) -> list[Finding]:
    """The validator's errors as one warning and its warnings as one note, by their codes.

    It judges names and metadata, not whether images can be trained on: nothing of it blocks.
    ConfigError when no validator is installed, SiteDataError when it does not answer.
    """
    program = next((name for name in PROGRAMS if shutil.which(name)), None)
    if program is None:
        raise ConfigError(
            f"--validator: none of {', '.join(PROGRAMS)} is installed here. Install one with "
            f"`{INSTALL}`, or leave --validator out."
        )
    command = [str(shutil.which(program)), str(root), *PROGRAMS[program]]
    try:
        done = subprocess.run(  # noqa: S603 - a program of the site's own choice, no shell
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        issues = _issues(json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        raise SiteDataError(f"{program}: no answer within {TIMEOUT_S} s. Run it alone.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SiteDataError(
            f"{program}: want its findings as JSON, found none ({error}). Run `{program} {root}` "
            "and see what it says."
        ) from None
    return _as_findings(program, issues)


def _issues(answer: Any) -> Counter[tuple[str, str]]:
    """(severity, code) -> how often; the two validators answer in two forms."""
    issues = answer["issues"]
    if "issues" in issues:
        return Counter((issue["severity"], issue["code"]) for issue in issues["issues"])
    return Counter(
        {
            (severity, issue["key"]): len(issue.get("files") or [None])
            for severity, listed in (("error", "errors"), ("warning", "warnings"))
            for issue in issues[listed]
        }
    )


def _as_findings(program: str, issues: Counter[tuple[str, str]]) -> list[Finding]:
    findings = []
    for severity in ("error", "warning"):
        codes = {code: n for (found, code), n in issues.items() if found == severity}
        if codes:
            listed = first_of([f"{code} ({n})" for code, n in sorted(codes.items())])
            findings.append(
                on_folder(
                    "warning" if severity == "error" else "note",
                    f"bids-{severity}",
                    text=f"{program}: {sum(codes.values())} {severity}s: {listed}",
                    fix=f"Run {program} on the folder for every file and line.",
                )
            )
    if not findings:
        findings.append(
            on_folder("note", "bids-valid", text=f"{program}: no issue", fix="Nothing to do.")
        )
    return findings
