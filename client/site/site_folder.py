"""Where a hospital's side of a federation lives on its disk."""

from __future__ import annotations

from pathlib import Path


class SiteFolder:
    """The files of one site, by what they are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def settings_file(self) -> Path:
        """site.toml: data, work, policy; the hospital's own, outside the signed kit."""
        return self.path / "site.toml"

    @property
    def key_file(self) -> Path:
        """The node's private key in OpenSSH's format; it never leaves this folder."""
        return self.path / "site.key"

    @property
    def request_file(self) -> Path:
        """What is sent to the coordinator: name, public key, versions; signed with the key."""
        return self.path / "request.json"

    @property
    def kit_file(self) -> Path:
        """What the coordinator signed: federation, address, port, role."""
        return self.path / "kit" / "kit.json"

    @property
    def authority_file(self) -> Path:
        """The certificate that the server's must be signed by."""
        return self.path / "kit" / "ca.pem"

    @property
    def flwr_home(self) -> Path:
        """Flower's own files."""
        return self.path / "flwr-home"

    @property
    def programs(self) -> Path:
        """First on the SuperNode's PATH: our own `flwr-clientapp` stands here."""
        return self.path / "programs"

    @property
    def standby_pipe(self) -> Path:
        """Where the process that waits with everything imported takes work from `programs`."""
        return self.programs / "standby"

    @property
    def logs(self) -> Path:
        """supernode.log and the ClientApps' own."""
        return self.path / "logs"

    @property
    def connected_file(self) -> Path:
        """There from the node's first word to its sign-off; still there after a crash."""
        return self.flwr_home / "connected"

    @property
    def health_file(self) -> Path:
        """The address, on loopback, of the running node's gRPC health service."""
        return self.flwr_home / "health-address"

    @property
    def left_file(self) -> Path:
        """Exists once the hospital has left the federation for good."""
        return self.path / "left"

    @property
    def paused_file(self) -> Path:
        """There while the hospital takes no work."""
        return self.path / "paused"
