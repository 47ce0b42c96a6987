"""The coordinator's firewall counts connections before nginx accepts them: by the kernel itself."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.hosts.namespaces import Hosts, why_not

pytestmark = [
    pytest.mark.federation,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

RULES = Path(__file__).parents[2] / "deploy" / "nftables" / "lesionfed-proxy.nft"
OF_ONE_ADDRESS = 128

LISTEN_AND_CONNECT = """
import socket, sys
address, n = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
server = socket.socket(family)
server.bind((address, 8443))
server.listen(1000)
lines, refused = [], 0
for _ in range(int(n)):
    line = socket.socket(family)
    line.settimeout(5)
    try:
        line.connect((address, 8443))
        lines.append(line)
    except ConnectionRefusedError:
        refused += 1
print(len(lines), refused)
"""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_one_address_has_so_many_connections_and_no_more(address: str, tmp_path: Path) -> None:
    program = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
    assert program is not None
    connect = [sys.executable, "-c", LISTEN_AND_CONNECT, address, str(OF_ONE_ADDRESS + 20)]
    load = [program, "-f", str(RULES)]
    with Hosts(["coordinator", "site"]) as hosts:
        for command in (load, load, connect):  # loaded twice, it is there once
            done = hosts.call_in(
                "coordinator",
                command,
                folder=tmp_path,
                environment=dict(os.environ),
                timeout_s=60,
            )
            assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(OF_ONE_ADDRESS), "20"]
