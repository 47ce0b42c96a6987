"""How SuperLink, SuperExec and proxy are started, and whether they answer."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import sys
import urllib.request
from collections.abc import Mapping

from common import programs
from common.errors import ConfigError
from common.programs import LOOPBACK, PROGRAMS, options
from server.federation.federation_folder import FederationFolder

ANSWER_S = 5.0
"""How long one question to a program may take."""


def superlink_address(folder: FederationFolder) -> str:
    """Where the SuperLink answers, on loopback only: `127.0.0.1:port`."""
    return f"{LOOPBACK}:{folder.settings().superlink_port}"


def flower_environment(
    folder: FederationFolder, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """`environment` for any of Flower's programs at the coordinator: at home in the folder."""
    return programs.flower_environment(environment, home=folder.flwr_home.resolve())


def superlink_command(folder: FederationFolder) -> list[str]:
    """The SuperLink: loopback only, TLS, registered nodes only, its state on disk."""
    settings = folder.settings()
    values = {
        "--host": LOOPBACK,
        "--port": settings.superlink_port,
        "--ssl-ca-certfile": folder.authority_file.resolve(),
        "--ssl-certfile": folder.certificate_file.resolve(),
        "--ssl-keyfile": folder.certificate_key_file.resolve(),
        "--superexec-auth-secret-file": folder.executor_secret_file.resolve(),
        "--isolation": "process",
        "--database": folder.database_file.resolve(),
        "--health-server-address": f"{LOOPBACK}:{settings.health_port}",
    }
    flags = ["--enable-supernode-auth", "--disable-runtime-dependency-installation"]
    return [str(PROGRAMS / "flower-superlink"), *options(values), *flags]


def superexec_command(folder: FederationFolder, *, health_port: int) -> list[str]:
    """The SuperExec, which starts the process that executes a run.

    health_port   on loopback, for this server's own questions
    """
    values = {
        "--runtime-api-address": superlink_address(folder),
        "--root-certificates": folder.authority_file.resolve(),
        "--superexec-auth-secret-file": folder.executor_secret_file.resolve(),
        "--health-server-address": f"{LOOPBACK}:{health_port}",
    }
    program = [sys.executable, "-P", "-m", "server.flower.superexec_process"]
    return [*program, *options(values)]


def proxy_command(folder: FederationFolder) -> list[str]:
    """nginx in the foreground with the federation's configuration; ConfigError without nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise ConfigError(
            "--with-proxy: there is no nginx on this machine. Install it (Debian: nginx-light), or "
            f"let another proxy run with {folder.proxy_file}."
        )
    if not folder.proxy_file.is_file():
        raise ConfigError(f"--with-proxy: {folder.proxy_file} is missing. Provision again.")
    file = folder.proxy_file.resolve()
    place, errors = f"{file.parent}/", str(file.parent / "error.log")
    return [program, "-p", place, "-e", errors, "-c", str(file), "-g", "daemon off;"]


def superlink_answers(folder: FederationFolder) -> bool:
    """Whether the SuperLink answers on its port, with a certificate of our own authority."""
    trust = ssl.create_default_context(cafile=folder.authority_file)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )
    try:
        with opener.open(f"https://{superlink_address(folder)}/health", timeout=ANSWER_S):
            return True
    except (OSError, http.client.HTTPException):
        return False


def port_answers(port: int) -> bool:
    """Whether something on this machine takes connections on the port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ANSWER_S):
            return True
    except OSError:
        return False
