"""The nginx in front of the SuperLink: sites reach /v1/fleet/ by POST, and nothing else.

Whoever reaches the SuperLink's /v1/control can enrol nodes and start runs, so it listens on
loopback and this is the only door. Paths in the text are relative to its own folder.
"""

from __future__ import annotations

import shutil
import socket

from common.files import write_whole
from common.programs import copy_and_empty
from server.federation.federation_folder import FederationFolder, FederationSettings

KEEP_LOG_BYTES = 16 << 20
"""A log larger than this is rotated; the one before it is kept as .1"""
ROOM_FOR_COPY = 4
"""Times the log's size that must be free for its copy."""

REQUESTS_AT_ONCE = 32
"""Of one address; a hospital with several sites may have one. A SuperNode has a handful."""
REQUESTS_IN_ALL = 512
"""Of all addresses: 4 GB of bodies in the memory of nginx at most, when 16 addresses attack."""
CONNECTIONS = 8192
"""Of one worker. Those that have sent no whole header count here and nowhere else: nginx counts by
address only what it has read. A firewall counts before (deploy/nftables)."""
LARGEST_BODY_MB = 8
"""Flower sends a message in objects of at most 5 MB, each in a request of its own."""

TEMPLATE = """\
# Written by `lesionfed provision`, and again by each `lesionfed serve`, from ../federation.toml:
# change that. Run it, as any user that may read ../credentials, with
#   nginx -e PROXY/error.log -c PROXY/nginx.conf -p PROXY
# where PROXY is the absolute path of this file's folder. Without -e, nginx also tries to open
# the log it was compiled with, and warns when it may not.
worker_processes auto;
worker_rlimit_nofile {open_files};
pid nginx.pid;
error_log error.log warn;

events {{
    worker_connections {connections};
}}

http {{
    server_tokens off;
    client_body_temp_path client_body;
    proxy_temp_path proxy_temp;
    fastcgi_temp_path fastcgi_temp;
    uwsgi_temp_path uwsgi_temp;
    scgi_temp_path scgi_temp;

    # sites ask every few seconds: only what was refused or failed is logged
    map $status $worth_a_line {{
        ~^[23] 0;
        default 1;
    }}
    access_log access.log combined if=$worth_a_line;

    # the SuperLink reads a request before it knows who sent it: how much of that at a time
    limit_conn_zone $binary_remote_addr zone=addresses:10m;
    limit_conn_zone $server_port zone=everybody:1m;
    limit_conn_log_level warn;

    # who sends half a header, or a body drop by drop, waits no longer than this
    client_header_timeout 10s;
    client_body_timeout 20s;
    send_timeout 30s;
    keepalive_timeout 30s;
    reset_timedout_connection on;
    client_header_buffer_size 1k;
    large_client_header_buffers 4 4k;

    server {{
        listen {listen} ssl;
        ssl_certificate ../credentials/server.pem;
        ssl_certificate_key ../credentials/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        client_max_body_size {largest_body_mb}m;
        # in memory, never in a file: workers of a master that root has started may write nowhere
        client_body_buffer_size {body_buffer_mb}m;
        limit_conn addresses {requests_at_once};
        limit_conn everybody {requests_in_all};

        location / {{
            return 403;
        }}

        # else nginx answers with a redirect of its own
        location = /v1/fleet {{
            return 403;
        }}

        # nodes are registered by the coordinator, on loopback
        location ^~ /v1/fleet/register-node {{
            return 403;
        }}
        location ^~ /v1/fleet/unregister-node {{
            return 403;
        }}

        location ^~ /v1/fleet/ {{
            limit_except POST {{
                deny all;
            }}
            # with its path here, nginx passes on the path it has judged, not the one it was sent
            proxy_pass https://127.0.0.1:{superlink_port}/v1/fleet/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            # the SuperLink gets a body when all of it is here: it waits for nobody
            proxy_request_buffering on;
            proxy_buffering off;
            proxy_read_timeout 300s;
            proxy_send_timeout 300s;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate ../credentials/ca.pem;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
        }}
    }}
}}
"""


def nginx_configuration(settings: FederationSettings) -> str:
    """A whole nginx.conf for one federation, for the folder `proxy` beside `credentials`."""
    return TEMPLATE.format(
        listen=_listen(settings),
        superlink_port=settings.superlink_port,
        largest_body_mb=LARGEST_BODY_MB,
        body_buffer_mb=LARGEST_BODY_MB + 1,  # else one in chunks fills it before it is too large
        requests_at_once=REQUESTS_AT_ONCE,
        requests_in_all=REQUESTS_IN_ALL,
        connections=CONNECTIONS,
        open_files=2 * CONNECTIONS,
    )


def bring_proxy_file(folder: FederationFolder) -> bool:
    """Whether nginx.conf on disk differed from what the settings ask for; then it is rewritten.

    What stood there is kept beside it as nginx.conf.before.
    """
    wanted, file = nginx_configuration(folder.settings()).encode(), folder.proxy_file
    if file.is_file() and file.read_bytes() == wanted:
        return False
    if file.is_file():
        write_whole(file.with_name(f"{file.name}.before"), file.read_bytes())
    write_whole(file, wanted)
    return True


def rotate_proxy_logs(folder: FederationFolder) -> None:
    """Copies a log that has grown past KEEP_LOG_BYTES to .1 and empties it where it is.

    nginx holds it open and continues in the same file, no matter who started it. Where there is
    little room for a copy the log stays as it is: the rest of the disk is for checkpoints.
    """
    for name in ("access.log", "error.log"):
        log = folder.proxy_file.with_name(name)
        if not log.is_file() or log.stat().st_size < KEEP_LOG_BYTES:
            continue
        if shutil.disk_usage(log.parent).free >= ROOM_FOR_COPY * log.stat().st_size:
            copy_and_empty(log).replace(log.with_name(f"{name}.1"))


def _listen(settings: FederationSettings) -> str:
    """The port on every IPv4 address, and on every IPv6 address where this machine has any.

    A name may lead to either, and a site takes what its own network has.
    """
    port = settings.port
    return f"{port} ssl;\n        listen [::]:{port}" if has_ipv6() else str(port)


def has_ipv6() -> bool:
    """Whether programs on this machine can listen on IPv6: nginx ends where they cannot."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
