"""How a federation stands at one moment: its server, its members, its certificates, its runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.errors import ConfigError, RunFolderError
from common.membership.certificate import days_left, expiry_warning
from common.preflight.check import CheckResult
from common.preflight.health import grpc_health
from server.federation.federation_folder import FederationFolder
from server.status.run_status import RunStatus, run_status

N_RUNS = 5
"""Latest runs that are shown."""

RENEWAL = {
    "server": "run `lesionfed rotate`",
    "authority": "provision a new federation, and let every site enrol in it",
}
"""What to do about a certificate that ends soon."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberStatus:
    """A planned site. state: active, suspended, removed or not-enrolled."""

    site: str
    role: str
    state: str
    enrolled: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CertificateStatus:
    """Whole days until a certificate ends; warns from 30 days on, and where it cannot be read."""

    what: str
    days_left: int | None
    warning: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LatestRun:
    """One of the latest runs. status: as in RunStatus, or `unreadable` with the reason."""

    run: str
    status: str
    reason: str | None
    phase: str | None = None
    round: int | None = None
    n_rounds: int | None = None
    last_event: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FederationStatus:
    """How a federation stands.

    superlink   the answer of its health service
    runs        the latest first
    """

    federation: str
    superlink: CheckResult
    members: tuple[MemberStatus, ...]
    certificates: tuple[CertificateStatus, ...]
    runs: tuple[LatestRun, ...]


def federation_status(folder: FederationFolder, *, now: datetime) -> FederationStatus:
    """How the federation in `folder` stands; ConfigError where there is none.

    now   with its time zone
    """
    settings, members = folder.settings(), folder.members()
    entries = {site.name: members.of(site.name) for site in settings.sites}
    return FederationStatus(
        federation=settings.name,
        superlink=grpc_health(
            "SuperLink",
            port=settings.health_port,
            fix=f"Start the server: `lesionfed serve --federation {folder.path}`.",
        ),
        members=tuple(
            MemberStatus(
                site=site.name,
                role=site.role,
                state=entry.state if entry else "not-enrolled",
                enrolled=entry.enrolled if entry else None,
            )
            for site in settings.sites
            for entry in [entries[site.name]]
        ),
        certificates=(
            _certificate("authority", folder.authority_file, now=now),
            _certificate("server", folder.certificate_file, now=now),
        ),
        runs=tuple(_latest_run(folder, path, now=now) for path in _latest(folder.runs)),
    )


def _certificate(what: str, path: Path, *, now: datetime) -> CertificateStatus:
    name = f"the {what}'s certificate"
    try:
        pem = path.read_bytes()
        left = math.floor(days_left(pem, now=now))
        ends = expiry_warning(pem, what=name, now=now)
    except (OSError, ConfigError):
        unreadable = f"{name} cannot be read: {path}. Restore the file."
        return CertificateStatus(what=what, days_left=None, warning=unreadable)
    warning = f"{ends}; {RENEWAL[what]}" if ends is not None else None
    return CertificateStatus(what=what, days_left=left, warning=warning)


def _latest(runs: Path) -> list[Path]:
    """The run folders in which something happened last, the newest first."""
    if not runs.is_dir():
        return []
    folders = [path for path in runs.iterdir() if (path / "recipe.toml").is_file()]
    return sorted(folders, key=_touched, reverse=True)[:N_RUNS]


def _touched(run: Path) -> datetime:
    events = run / "events.jsonl"
    stat = (events if events.exists() else run / "recipe.toml").stat()
    return datetime.fromtimestamp(stat.st_mtime, UTC)


def _latest_run(folder: FederationFolder, path: Path, *, now: datetime) -> LatestRun:
    try:
        status: RunStatus = run_status(folder.run(path.name), now=now)
    except (RunFolderError, ConfigError) as error:
        return LatestRun(run=path.name, status="unreadable", reason=str(error))
    return LatestRun(
        run=path.name,
        status=status.status,
        reason=status.reason,
        phase=status.phase,
        round=status.round,
        n_rounds=status.n_rounds,
        last_event=status.last_event,
    )
