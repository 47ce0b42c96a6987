"""Every site of a federation, planned or enrolled, and the certificates that end soon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from common.membership.certificate import expiry_warning
from common.membership.node_key import fingerprint
from server.federation.federation_folder import FederationFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedSite:
    """One line of `lesionfed sites`.

    role          as planned in federation.toml; "" where the site is no longer planned there
    state         "not enrolled", "active", "suspended" or "removed"
    fingerprint   of its key; "" where it has not enrolled
    enrolled      UTC, ISO 8601; "" where it has not
    """

    site: str
    role: str
    state: str
    fingerprint: str
    enrolled: str


def site_list(folder: FederationFolder) -> list[ListedSite]:
    """The planned sites in the order of federation.toml, then members that are no longer there."""
    members = folder.members()
    roles: dict[str, str] = {site.name: site.role for site in folder.settings().sites}
    names = [*roles, *(m.site for m in members.members if m.site not in roles)]
    listed = []
    for name in names:
        member = members.of(name)
        listed.append(
            ListedSite(
                site=name,
                role=roles.get(name, ""),
                state=member.state if member else "not enrolled",
                fingerprint=fingerprint(member.public_key) if member else "",
                enrolled=member.enrolled if member else "",
            )
        )
    return listed


def expiry_warnings(folder: FederationFolder) -> list[str]:
    """A sentence with what to do for each certificate that ends within 30 days or has ended."""
    now = datetime.now(UTC)
    certificates = (
        (
            folder.certificate_file,
            "the server's certificate",
            f"Make a new one: lesionfed rotate --federation {folder.path}",
        ),
        (
            folder.authority_file,
            "the federation's authority",
            "Provision a new federation, and let every site enrol again.",
        ),
    )
    warnings = []
    for file, what, advice in certificates:
        sentence = expiry_warning(file.read_bytes(), what=what, now=now)
        if sentence:
            warnings.append(f"{sentence}. {advice}")
    return warnings
