"""A site's own files: its settings, its data folder, the kit it joined with, its running node."""

from __future__ import annotations

import socket
from pathlib import Path

from client.site.membership import joined_kit
from client.site.settings import Site, read_site
from client.site.site_folder import SiteFolder
from common.errors import ConfigError, WireError
from common.membership.certificate import certificate_fingerprint
from common.membership.kit import Kit
from common.preflight.check import CheckResult, not_checked, passed, problem
from common.preflight.health import TIMEOUT_S, grpc_health

SETTINGS = "site settings"
DATA = "data folder"
KIT = "kit"
HEALTH = "SuperNode's health"


def settings(settings_file: Path) -> tuple[CheckResult, Site | None]:
    """The check, and what site.toml says where it can be read."""
    try:
        site = read_site(settings_file)
    except ConfigError as error:
        fix = "Correct site.toml; lesionfed-site init writes one to start from."
        return problem(SETTINGS, str(error), fix), None
    return passed(SETTINGS, f"{settings_file}: site {site.name}"), site


def data(site: Site) -> CheckResult:
    """Passed where the data folder has folders of subjects; their images are not opened."""
    try:
        if not site.data.is_dir():
            fix = "Correct `data` in site.toml, or mount the disk."
            return problem(DATA, f"{site.data}: no such folder", fix)
        n_subjects = sum(path.is_dir() for path in site.data.glob("sub-*"))
    except OSError:
        n_subjects = 0
    if not n_subjects:
        return problem(
            DATA,
            f"{site.data} has no sub-* folder that this user may read",
            "Correct `data` in site.toml, or make the folder: lesionfed-site prepare.",
        )
    return passed(
        DATA,
        f"{n_subjects} subject{'s' if n_subjects > 1 else ''}; lesionfed-site check opens them",
    )


def kit(folder: SiteFolder) -> tuple[CheckResult, Kit | None]:
    """The check, and the kit where it can be read."""
    again = "Join again with the coordinator's kit: lesionfed-site join KIT."
    try:
        found = joined_kit(folder)
        authority = certificate_fingerprint(folder.authority_file.read_bytes())
    except (ConfigError, WireError) as error:
        return problem(KIT, str(error), again), None
    except OSError as error:
        return problem(KIT, f"{error.filename}: {error.strerror}", again), None
    if authority != found.authority_fingerprint:
        text = f"{folder.authority_file} is not the authority that the kit names"
        return problem(KIT, text, again), found
    return passed(KIT, f"site {found.site} of {found.federation}, role {found.role}"), found


def running_node(folder: SiteFolder) -> CheckResult:
    """The health of the running SuperNode; not-checked where none runs, which is no fault."""
    try:
        address = folder.health_file.read_text(encoding="ascii").strip()
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S):
            pass
    except (OSError, ValueError):
        return not_checked(HEALTH, "no node of this site runs now")
    fix = f"Read {folder.logs}, then end `lesionfed-site run` and start it again."
    return grpc_health("SuperNode", port=int(port), fix=fix)
