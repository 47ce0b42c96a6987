"""A federation's folder as `lesionfed provision` leaves it, without credentials."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from server.federation.federation_folder import FederationFolder
from server.federation.members import Member, Members, write_members

SITES = (
    {"name": "lyon"},
    {"name": "ghent", "role": "statistics"},
    {"name": "turin"},
)


def made_federation(path: Path, **settings: object) -> FederationFolder:
    """lyon and turin train, ghent has healthy controls; turin alone has enrolled."""
    folder = FederationFolder(path)
    for place in (folder.path, folder.runs, folder.flwr_home, folder.logs):
        place.mkdir(parents=True, exist_ok=True)
    table = {"name": "toys", "address": "127.0.0.1", "sites": list(SITES), **settings}
    folder.settings_file.write_text(tomli_w.dumps(table), encoding="utf-8")
    member = Member(site="turin", public_key="ecdsa T", enrolled="2026-01-01T00:00:00+00:00")
    write_members(folder.members_file, Members(members=(member,)))
    return folder
