"""Where a federation lives on the coordinator's disk: who belongs, the credentials, the runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from common.membership.site import Role, SiteName
from common.settings import Settings, read_toml
from server.federation.members import Members, read_members
from server.run.notify_settings import Notify
from server.run.run_folder import HeldOutData, RunFolder

Port = Annotated[int, Field(ge=1, le=65535)]


class PlannedSite(Settings):
    """A hospital that is to take part; its place in the file is its site index, late or not."""

    name: SiteName
    role: Role = "train"


class FederationSettings(Settings):
    """What `federation.toml` says; the coordinator's own file, outside every signed kit."""

    name: SiteName
    address: Annotated[str, Field(min_length=1)]
    """Host name or IP address under which sites reach the reverse proxy."""
    port: Port = 8443
    """Of the reverse proxy."""
    superlink_port: Port = 18000
    """Of the SuperLink, on loopback only."""
    health_port: Port = 18099
    """Of the SuperLink's gRPC health service, on loopback only."""
    sites: tuple[PlannedSite, ...] = Field(min_length=1)
    validation: tuple[HeldOutData, ...] = ()
    """Used for choices, never for the verdict."""
    unseen: tuple[HeldOutData, ...] = ()
    """Used for the verdict, never for a choice."""
    lesion_masks: Path | None = None
    notify: Notify = Notify()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [site.name for site in self.sites]
        names += [site.name for site in (*self.validation, *self.unseen)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"site {name!r} is named twice; each site has one role")
        if not any(site.role == "train" for site in self.sites):
            raise ValueError("no site trains")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        ports = {name: getattr(self, name) for name in ("port", "superlink_port", "health_port")}
        for name, port in ports.items():
            if others := [other for other in ports if other != name and ports[other] == port]:
                raise ValueError(
                    f"{name} and {others[0]} are both {port}: two programs cannot listen on one "
                    "port. Leave one of them out, or choose another number."
                )
        return self


class FederationFolder:
    """The files of one federation, by what they are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def settings_file(self) -> Path:
        """Name, address, sites; the coordinator may change it between runs."""
        return self.path / "federation.toml"

    @property
    def authority_file(self) -> Path:
        """The certificate of the federation's own authority: what every site trusts."""
        return self.path / "credentials" / "ca.pem"

    @property
    def authority_key_file(self) -> Path:
        """The authority's private key, readable by its owner only."""
        return self.path / "credentials" / "ca.key"

    @property
    def certificate_file(self) -> Path:
        """The server's certificate, for the proxy and the SuperLink."""
        return self.path / "credentials" / "server.pem"

    @property
    def certificate_key_file(self) -> Path:
        """The server's private key, readable by its owner only."""
        return self.path / "credentials" / "server.key"

    @property
    def executor_secret_file(self) -> Path:
        """What SuperLink and SuperExec know each other by."""
        return self.path / "credentials" / "superexec-secret"

    @property
    def requests_key_file(self) -> Path:
        """The private key that requests to sites are signed with, readable by its owner only."""
        return self.path / "credentials" / "requests.key"

    @property
    def members_file(self) -> Path:
        """Who has enrolled, under which key, and whether active."""
        return self.path / "members.json"

    @property
    def kits(self) -> Path:
        """One signed zip a site."""
        return self.path / "kits"

    @property
    def proxy_file(self) -> Path:
        """nginx configuration that lets sites reach /v1/fleet/ and nothing else."""
        return self.path / "proxy" / "nginx.conf"

    @property
    def flwr_home(self) -> Path:
        """Flower's own files."""
        return self.path / "flwr-home"

    @property
    def database_file(self) -> Path:
        """The SuperLink's state."""
        return self.path / "state.db"

    @property
    def logs(self) -> Path:
        """superlink.log, superexec.log."""
        return self.path / "logs"

    @property
    def runs(self) -> Path:
        """A run folder each."""
        return self.path / "runs"

    def settings(self) -> FederationSettings:
        """What `federation.toml` says; ConfigError where it cannot be used."""
        table = read_toml(self.settings_file)
        return FederationSettings.from_table(table, where=str(self.settings_file))

    def members(self) -> Members:
        """Who has enrolled."""
        return read_members(self.members_file)

    def run(self, name: str) -> RunFolder:
        """One run's folder."""
        return RunFolder(self.runs / name)
