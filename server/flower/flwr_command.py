"""What Flower's own command `flwr` answers about the running SuperLink."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from common.errors import FlowerError
from common.programs import PROGRAMS
from server.federation.federation_folder import FederationFolder
from server.flower.programs import flower_environment

COMMAND_S = 60.0
"""How long one call of `flwr` may take."""


def flwr(folder: FederationFolder, *arguments: str) -> dict[str, Any]:
    """What `flwr ARGUMENTS --format json` answers; FlowerError with its text when it refuses.

    arguments   such as "ls", CONNECTION; while the SuperLink runs
    """
    done = _call(folder, *arguments, "--format", "json")
    try:
        answer: dict[str, Any] = dict(json.loads(done.stdout))
    except (ValueError, TypeError):
        answer = {}
    if answer.get("success") is not True:
        text = answer.get("error-message") or done.stderr.strip() or done.stdout.strip()
        raise FlowerError(
            f"flwr {' '.join(arguments)}: exit code {done.returncode}: {text or 'no reason'}\n"
            f"If the SuperLink does not answer, see {folder.logs / 'superlink.log'}."
        )
    return answer


def flwr_text(folder: FederationFolder, *arguments: str) -> str:
    """What `flwr ARGUMENTS` prints, for the commands that know no JSON."""
    done = _call(folder, *arguments)
    if done.returncode != 0:
        text = done.stderr.strip() or done.stdout.strip()
        raise FlowerError(f"flwr {' '.join(arguments)}: exit code {done.returncode}: {text}")
    return done.stdout


def _call(folder: FederationFolder, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - a program of our own installation, no shell
            [str(PROGRAMS / "flwr"), *arguments],
            env=flower_environment(folder),
            cwd=folder.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=COMMAND_S,
            check=False,
        )
    except FileNotFoundError:
        raise FlowerError(f"{PROGRAMS / 'flwr'}: no such program. Reinstall LesionFed.") from None
    except subprocess.TimeoutExpired:
        raise FlowerError(
            f"flwr {' '.join(arguments)}: no answer within {COMMAND_S:g} s. Does `lesionfed serve` "
            f"run? See {folder.logs / 'superlink.log'}."
        ) from None
