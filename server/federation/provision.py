"""A federation's folder, from its settings to the first site that may enrol."""

from __future__ import annotations

import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

from common.errors import ConfigError
from common.files import SECRET, write_whole
from common.membership.certificate import validity
from common.membership.requests_key import new_requests_key
from common.settings import read_toml
from server.federation.authority import Credential, new_authority, new_server_certificate
from server.federation.federation_folder import FederationFolder, FederationSettings
from server.federation.flower_connection import write_connection
from server.federation.members import Members, write_members
from server.federation.proxy import nginx_configuration

SECRET_BYTES = 32


def provision(settings_file: Path, out: Path) -> FederationFolder:
    """The new federation in `out`: authority, server certificate, secret, proxy, no member yet.

    settings_file   what becomes `federation.toml`
    out             a folder that does not exist yet, or is empty

    ConfigError where the settings cannot be used or `out` holds anything. All of it is there
    afterwards, or nothing.
    """
    table = read_toml(settings_file)
    settings = FederationSettings.from_table(table, where=str(settings_file))
    _require_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
    try:
        _lay_out(FederationFolder(beside), settings, settings_file.read_bytes())
        beside.replace(out)  # takes the place of an empty folder, and of no other
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    folder = FederationFolder(out)
    write_connection(folder, settings)
    return folder


def rotate_certificate(folder: FederationFolder) -> datetime:
    """Until when the server's new certificate holds; the authority stays, so sites need nothing.

    ConfigError where the authority has expired or `folder` holds no federation.
    """
    settings = folder.settings()
    try:
        authority = Credential(
            certificate=folder.authority_file.read_bytes(),
            key=folder.authority_key_file.read_bytes(),
        )
    except FileNotFoundError as error:
        raise ConfigError(
            f"{error.filename}: no such file. Restore the authority from its backup."
        ) from None
    now = datetime.now(UTC)
    server = new_server_certificate(authority, address=settings.address, now=now)
    write_whole(folder.certificate_key_file, server.key, mode=SECRET)
    write_whole(folder.certificate_file, server.certificate)
    return validity(server.certificate)[1]


def _require_free(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"{out}: want a new or empty folder; this is a file")
    if FederationFolder(out).settings_file.exists():
        raise ConfigError(
            f"{out}: a federation was provisioned here already, and its sites trust its authority. "
            "Choose another folder; for a new server certificate use lesionfed rotate."
        )
    if any(out.iterdir()):
        raise ConfigError(f"{out}: want a new or empty folder; this one holds other files")


def _lay_out(folder: FederationFolder, settings: FederationSettings, settings_toml: bytes) -> None:
    folder.path.mkdir(mode=0o700)
    for inner in (
        folder.authority_file.parent,
        folder.kits,
        folder.proxy_file.parent,
        folder.flwr_home,
        folder.logs,
        folder.runs,
    ):
        inner.mkdir()
    folder.authority_file.parent.chmod(0o700)
    now = datetime.now(UTC)
    authority = new_authority(settings.name, now=now)
    server = new_server_certificate(authority, address=settings.address, now=now)
    write_whole(folder.authority_key_file, authority.key, mode=SECRET)
    write_whole(folder.authority_file, authority.certificate)
    write_whole(folder.certificate_key_file, server.key, mode=SECRET)
    write_whole(folder.certificate_file, server.certificate)
    write_whole(folder.executor_secret_file, secrets.token_bytes(SECRET_BYTES), mode=SECRET)
    new_requests_key(folder.requests_key_file)
    write_whole(folder.proxy_file, nginx_configuration(settings).encode())
    write_members(folder.members_file, Members())
    write_whole(folder.settings_file, settings_toml)
