"""Sites whose node is run by `lesionfed-site run`, as a hospital runs it."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import tomli_w

from client.site.site_folder import SiteFolder
from common.membership.kit import Kit
from common.membership.requests_key import new_requests_key, public_half, read_requests_key
from server.federation.federation_folder import FederationFolder
from server.federation.members import Member, Members, write_members
from tests.federation.consortium import CONNECTION, LoopbackConsortium
from tests.federation.credentials import NodeKey
from tests.federation.processes import Service

COMMAND = "import sys; from client.cli import main; sys.exit(main())"
FOLDERS = {"data": "bids", "work": "work"}


class SiteCommandConsortium(LoopbackConsortium):
    """`guarded` is run by `lesionfed-site run`, any other site by Flower's own program."""

    def submit_code(self, bundle: Path, run_config: Mapping[str, str]) -> str:
        """Flower's id of a run of another bundle than ours."""
        settings = " ".join(f"{key}={json.dumps(value)}" for key, value in run_config.items())
        answer = self._flwr("run", str(bundle), CONNECTION, "--run-config", settings)
        self._runs.append(str(answer["run-id"]))
        return self._runs[-1]

    def site(self, name: str) -> SiteFolder:
        """The folder that `lesionfed-site run` works in."""
        return SiteFolder(self._site_folder(name))

    def service(self, name: str) -> Service:
        """The process of this name, alive until the block ends."""
        return next(service for service in self._services if service.name == name)

    def made_members(self) -> Path:
        """The coordinator's members.json, with every site in it."""
        members = [
            Member(site=name, public_key=self.public_key(name).strip(), enrolled="2026-01-01")
            for name in self._sites
        ]
        file = FederationFolder(self._coordinator).members_file
        write_members(file, Members(members=tuple(members)))
        return file

    def _start_supernode(self, site: str, key: NodeKey) -> None:
        if site != "guarded":
            super()._start_supernode(site, key)
            return
        folder = self.site(site)
        folder.kit_file.parent.mkdir()
        folder.authority_file.write_bytes(self._credentials.authority.read_bytes())
        folder.kit_file.write_text(self._kit(site, key).canonical_json(), "utf-8")
        folder.settings_file.write_text(self._settings(site), "utf-8")
        key.private.rename(folder.key_file)
        self._start_service(
            site,
            folder.path,
            sys.executable,
            options={"-c": COMMAND},
            flags=["run", "--folder", str(folder.path)],
        )

    def _kit(self, site: str, key: NodeKey) -> Kit:
        requests_key = FederationFolder(self._coordinator).requests_key_file
        requests_key.parent.mkdir()
        new_requests_key(requests_key)
        return Kit(
            federation="loopback",
            site=site,
            role="train",
            public_key=key.public.read_text("ascii").strip(),
            address="127.0.0.1",
            port=self._port,
            authority_fingerprint="SHA256:" + "A" * 43,
            requests_key=public_half(read_requests_key(requests_key)),
            lesionfed_version="0.1.0",
            code_digest="0" * 64,
            issued="2026-01-01T00:00:00+00:00",
        )

    def _settings(self, site: str) -> str:
        """The site's own settings where there are any, with its folders found from anywhere."""
        path = self._sites[site]
        table = tomllib.loads(path.read_text("utf-8")) if path.exists() else {"name": site}
        return tomli_w.dumps(
            {**table, **{key: str(path.parent / name) for key, name in FOLDERS.items()}}
        )
