"""Small federations on disk, for tests of enrolment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from client.site.new_site import new_site
from client.site.site_folder import SiteFolder
from common.membership.node_key import fingerprint, public_key_of
from server.federation.authority import new_authority
from server.federation.enrolment import enrol
from server.federation.federation_folder import FederationFolder
from server.federation.provision import provision

SETTINGS = """\
name = "ms-north"
address = "lesionfed.example.org"
port = {port}
superlink_port = {superlink_port}

[[sites]]
name = "alpha"

[[sites]]
name = "beta"
role = "evaluate"
"""


def federation(folder: Path, *, port: int = 8443, superlink_port: int = 1) -> FederationFolder:
    """A provisioned federation of alpha (train) and beta (evaluate); nothing listens at port 1."""
    file = folder / "consortium.toml"
    file.write_text(SETTINGS.format(port=port, superlink_port=superlink_port), encoding="utf-8")
    return provision(file, folder / "federation")


def site(folder: Path, name: str) -> SiteFolder:
    """A site that has made its key and its request."""
    return new_site(folder / name, name)[0]


def fingerprint_of(made: SiteFolder) -> str:
    """What the site's engineer reads out."""
    return fingerprint(public_key_of(made.key_file))


def enrolled(joint: FederationFolder, made: SiteFolder) -> Path:
    """The site's kit."""
    return enrol(joint, made.request_file, fingerprint=fingerprint_of(made))


def let_authority_expire(joint: FederationFolder) -> None:
    """Gives the federation an authority that ended yesterday."""
    now = datetime.now(UTC) - timedelta(days=3654)
    old = new_authority("ms-north", now=now)
    joint.authority_file.write_bytes(old.certificate)
    joint.authority_key_file.write_bytes(old.key)
