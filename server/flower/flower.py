"""Flower's own programs at the coordinator: their environment, and what `flwr` answers."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import FlowerError
from server.federation.federation_folder import FederationFolder

LOOPBACK = "127.0.0.1"

PROGRAMS = Path(sysconfig.get_path("scripts"))

COMMAND_S = 60.0
"""How long one call of `flwr` may take."""

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
    "PYTHONUNBUFFERED": "1",
}
"""Nothing is reported to Flower's makers, looked up or installed; a run begins within 0.1 s."""


def superlink_address(folder: FederationFolder) -> str:
    """Where the SuperLink answers, on loopback only: `127.0.0.1:port`."""
    return f"{LOOPBACK}:{folder.settings().superlink_port}"


def flower_environment(
    folder: FederationFolder, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """`environment` for any of Flower's programs: at home in the folder, quiet, and on loopback."""
    changed = {**environment, **QUIET, "FLWR_HOME": str(folder.flwr_home.resolve())}
    path = [str(PROGRAMS), environment.get("PATH", "")]
    changed["PATH"] = os.pathsep.join(part for part in path if part)
    for name in ("NO_PROXY", "no_proxy"):  # all these programs talk to each other only
        direct = [environment.get(name, ""), LOOPBACK, "localhost"]
        changed[name] = ",".join(part for part in direct if part)
    return changed


def flwr(folder: FederationFolder, *arguments: str) -> dict[str, Any]:
    """What `flwr ARGUMENTS --format json` answers; FlowerError with its words when it refuses.

    arguments   such as "ls", CONNECTION; while the SuperLink runs
    """
    done = _call(folder, *arguments, "--format", "json")
    answer = _as_json(done.stdout)
    if answer.get("success") is not True:
        told = answer.get("error-message") or done.stderr.strip() or done.stdout.strip()
        raise FlowerError(
            f"flwr {' '.join(arguments)}: exit code {done.returncode}: {told or 'no word why'}\n"
            f"If the SuperLink does not answer, see {folder.logs / 'superlink.log'}."
        )
    return answer


def flwr_text(folder: FederationFolder, *arguments: str) -> str:
    """What `flwr ARGUMENTS` prints, for the commands that know no JSON."""
    done = _call(folder, *arguments)
    if done.returncode != 0:
        told = done.stderr.strip() or done.stdout.strip()
        raise FlowerError(f"flwr {' '.join(arguments)}: exit code {done.returncode}: {told}")
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
        raise FlowerError(
            f"{PROGRAMS / 'flwr'}: no such program. Install LesionFed anew."
        ) from None
    except subprocess.TimeoutExpired:
        raise FlowerError(
            f"flwr {' '.join(arguments)}: no answer within {COMMAND_S:g} s. Is `lesionfed serve` "
            f"well? See {folder.logs / 'superlink.log'}."
        ) from None


def _as_json(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
