"""Is this the folder of a site that joined, and does its kit fit its key?"""

from __future__ import annotations

from client.site.joined import joined_kit
from client.site.site_folder import SiteFolder
from common.errors import ConfigError, WireError
from common.membership.certificate import certificate_fingerprint
from common.membership.kit import Kit
from common.preflight.check import Check, passed, problem

NAME = "kit"


def kit(folder: SiteFolder) -> tuple[Check, Kit | None]:
    """The check, and the kit where it can be read."""
    again = "Join again with the coordinator's kit: lesionfed-site join KIT."
    try:
        found = joined_kit(folder)
        authority = certificate_fingerprint(folder.authority_file.read_bytes())
    except (ConfigError, WireError) as error:
        return problem(NAME, str(error), again), None
    except OSError as error:
        return problem(NAME, f"{error.filename}: {error.strerror}", again), None
    if authority != found.authority_fingerprint:
        text = f"{folder.authority_file} is not the authority that the kit names"
        return problem(NAME, text, again), found
    return passed(NAME, f"site {found.site} of {found.federation}, role {found.role}"), found
