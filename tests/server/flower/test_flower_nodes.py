"""Flower's list of keys follows members.json, tried with a real SuperLink."""

from __future__ import annotations

import os
import socketserver
import sqlite3
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)

from common.errors import ConfigError, FlowerError
from common.membership.node_key import public_key_of
from server.federation.enrolment import enrol, remove, restore, suspend
from server.federation.federation_folder import FederationFolder
from server.federation.members import Members, changing, write_members
from server.flower import flower_nodes
from server.flower.flower_nodes import Reconciled, _register, reconcile
from tests.consortia import enrolled, federation, fingerprint_of, site
from tests.federation.processes import Service, stop_all, wait_beside
from tests.ports import free_port, listens
from tests.waiting import LIMIT_S


def superlink(joint: FederationFolder) -> Service:
    """A SuperLink on this federation's port and database."""
    environment = {
        **os.environ,
        "FLWR_HOME": str(joint.flwr_home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    }
    options = {
        "--host": "127.0.0.1",
        "--port": str(joint.settings().superlink_port),
        "--ssl-ca-certfile": str(joint.authority_file),
        "--ssl-certfile": str(joint.certificate_file),
        "--ssl-keyfile": str(joint.certificate_key_file),
        "--superexec-auth-secret-file": str(joint.executor_secret_file),
        "--isolation": "process",
        "--database": str(joint.database_file),
    }
    program = str(Path(sysconfig.get_path("scripts")) / "flower-superlink")
    flags = ["--enable-supernode-auth", "--disable-runtime-dependency-installation"]
    return Service(
        [program, *(part for option in options.items() for part in option), *flags],
        log=joint.logs / "superlink.log",
        folder=joint.path,
        environment=environment,
    )


def test_without_a_superlink_nothing_is_done(tmp_path: Path) -> None:
    joint = federation(tmp_path, superlink_port=free_port())
    enrolled(joint, site(tmp_path, "alpha"))
    assert reconcile(joint) == Reconciled(running=False)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What Flower was told; it seems to listen."""
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(flower_nodes, "flwr", lambda folder, *arguments: told.append(arguments))
    monkeypatch.setattr(flower_nodes, "port_answers", lambda port: True)
    return told


def knows(joint: FederationFolder, *keys: str) -> None:
    """Gives the federation a SuperLink's database with these keys, numbered from 1."""
    with closing(sqlite3.connect(joint.database_file)) as database:
        database.execute("CREATE TABLE node (node_id INTEGER, public_key BLOB, status TEXT)")
        for i in range(len(keys)):
            pem = load_ssh_public_key(keys[i].encode()).public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
            )
            database.execute("INSERT INTO node VALUES (?, ?, 'registered')", (i + 1, pem))
        database.commit()


def test_where_the_members_are_gone_no_key_is_unregistered(
    tmp_path: Path, told: list[tuple[str, ...]]
) -> None:
    joint, alpha = federation(tmp_path), site(tmp_path, "alpha")
    knows(joint, public_key_of(alpha.key_file))
    joint.members_file.unlink()
    with pytest.raises(ConfigError, match=r"no such file, and the SuperLink knows 1 keys\. Rest"):
        reconcile(joint)
    assert told == []


def test_only_keys_known_to_have_ended_are_unregistered(
    tmp_path: Path, told: list[tuple[str, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    joint, alpha, beta = federation(tmp_path), site(tmp_path, "alpha"), site(tmp_path, "beta")
    enrolled(joint, alpha)
    again = site(tmp_path / "again", "alpha")
    enrol(joint, again.request_file, fingerprint=fingerprint_of(again), replace=True)
    knows(joint, *(public_key_of(made.key_file) for made in (beta, alpha, again)))
    assert reconcile(joint) == Reconciled(running=True, unregistered=1)
    assert told == [("supernode", "unregister", "2", "federation")]  # alpha's first key
    assert fingerprint_of(beta) in caplog.text
    assert fingerprint_of(again) not in caplog.text


def test_who_reconciles_waits_for_who_changes_the_members(
    tmp_path: Path, told: list[tuple[str, ...]]
) -> None:
    joint = federation(tmp_path)
    enrolled(joint, site(tmp_path, "alpha"))
    with ThreadPoolExecutor(1) as pool:
        with changing(joint.members_file):
            done = pool.submit(reconcile, joint)
            with pytest.raises(TimeoutError):
                done.result(timeout=0.3)
            assert told == []
        assert done.result(timeout=LIMIT_S).registered == ("alpha",)


@pytest.mark.federation
def test_a_foreign_service_on_the_port_is_an_error_that_says_so(tmp_path: Path) -> None:
    class HangUp(socketserver.BaseRequestHandler):
        """Takes a connection and ends it."""

    with socketserver.TCPServer(("127.0.0.1", 0), HangUp) as foreign:
        thread = threading.Thread(target=foreign.serve_forever, daemon=True)
        thread.start()
        joint = federation(tmp_path, superlink_port=foreign.server_address[1])
        enrolled(joint, site(tmp_path, "alpha"))
        try:
            with pytest.raises(FlowerError, match="If the SuperLink does not answer"):
                reconcile(joint)
        finally:
            foreign.shutdown()
            thread.join(LIMIT_S)


@pytest.mark.federation
def test_flowers_list_follows_the_members(tmp_path: Path) -> None:
    joint = federation(tmp_path, superlink_port=free_port())
    enrolled(joint, site(tmp_path, "alpha"))
    service = superlink(joint)
    try:
        port = joint.settings().superlink_port
        wait_beside([service], lambda: listens(port), "the SuperLink's answer")
        assert reconcile(joint) == Reconciled(running=True, registered=("alpha",))

        # suspended: it stays registered, because Flower takes no key twice; nothing to do
        suspend(joint, "alpha")
        assert reconcile(joint) == Reconciled(running=True)
        restore(joint, "alpha")
        assert reconcile(joint) == Reconciled(running=True)

        # removed for good; it comes back with a new key
        old = joint.members().members[0]
        remove(joint, "alpha")
        assert reconcile(joint) == Reconciled(running=True, unregistered=1)
        again = site(tmp_path / "again", "alpha")
        enrol(joint, again.request_file, fingerprint=fingerprint_of(again), replace=True)
        assert reconcile(joint) == Reconciled(running=True, registered=("alpha",))

        # the old key under any name: Flower refuses it, and we say whose it is
        beta = old.model_copy(update={"site": "beta"})
        alpha = joint.members().members[0].model_copy(update={"former_keys": ()})
        write_members(joint.members_file, Members(members=(alpha, beta)))
        assert reconcile(joint) == Reconciled(running=True, refused=("beta",))
        with pytest.raises(FlowerError, match=r"(?i)public key.*already in use"):
            _register(joint, "beta", old.public_key)
    except FlowerError as error:
        error.add_note(service.log_tail())
        raise
    finally:
        stop_all([service])
