"""A new site's folder: its key, its request to take part, its settings to fill in."""

from __future__ import annotations

import re
from pathlib import Path

from client.site.site_folder import SiteFolder
from common.errors import ConfigError
from common.files import write_whole
from common.membership.node_key import new_node_key
from common.membership.request import EnrolmentRequest, write_request
from common.membership.site import NAME_PATTERN

SETTINGS = """\
# This hospital's own settings. The coordinator neither sees nor sets them.
# Relative paths start at this file's folder.

name = "{name}"

# The BIDS folder with images and lesion masks; it is only read.
# Look at it first: lesionfed-site check FOLDER
data = "data"

# Where the site keeps what it computes; nothing in it leaves. Not inside `data`.
work = "work"

# What may leave this hospital.
[policy]
# Fewest subjects whose sums (landmarks of intensity, scores by threshold) may leave.
min_subjects = 5
# Whose subjects count for scores of the cases that the site keeps from training, by which threshold
# and round are chosen: "site", its own, or "federation", those of all sites that have too few.
sums_count = "site"
"""


def new_site(path: Path, name: str) -> tuple[SiteFolder, EnrolmentRequest]:
    """The folder at `path` with a new key and the request signed with it.

    A `site.toml` that is there is kept, and so is a key whose request was never written.
    ConfigError where the folder has both already, or the name cannot be a site's.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(
            f"site name {name!r}: want letters, digits, - and _ only, at most 64, beginning with a "
            "letter or digit; the coordinator's federation.toml has it"
        )
    folder = SiteFolder(path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.request_file.exists() or not folder.key_file.exists():
        new_node_key(folder.key_file)
    request = write_request(folder.request_file, site=name, key_file=folder.key_file)
    if not folder.settings_file.exists():
        write_whole(folder.settings_file, SETTINGS.format(name=name).encode())
    return folder, request
