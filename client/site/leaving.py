"""How a hospital ends its part."""

from __future__ import annotations

from client.site.site import read_site
from client.site.site_folder import SiteFolder
from common.errors import ConfigError


def leave_federation(folder: SiteFolder, *, delete_key: bool) -> str:
    """The name of the site that has left; its folder is marked, and its running node ends.

    ConfigError where the folder is no site's. Leaving twice is no error.
    """
    if not folder.settings_file.is_file():
        raise ConfigError(f"{folder.path}: no site.toml here. Give the site's folder.")
    name = read_site(folder.settings_file).name
    folder.left_file.touch()
    if delete_key:
        folder.key_file.unlink(missing_ok=True)
    return name
