"""Is the hospital's own settings file usable?"""

from __future__ import annotations

from pathlib import Path

from client.site.site import Site, read_site
from common.errors import ConfigError
from common.preflight.check import Check, passed, problem

NAME = "site settings"
DATA = "data folder"


def settings(settings_file: Path) -> tuple[Check, Site | None]:
    """The check, and what site.toml says where it can be read."""
    try:
        site = read_site(settings_file)
    except ConfigError as error:
        fix = "Mend site.toml; lesionfed-site init writes one to start from."
        return problem(NAME, str(error), fix), None
    return passed(NAME, f"{settings_file}: site {site.name}"), site


def data(site: Site) -> Check:
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
