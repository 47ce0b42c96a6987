"""`lesionfed serve`: SuperLink and SuperExec, alive, with the members registered."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from common.errors import ConfigError, FlowerError
from common.membership.certificate import expiry_warning, require_valid, validity
from common.membership.requests_key import read_requests_key
from common.preflight.coordinator import Coordinator
from common.preflight.health import grpc_health
from common.preflight.network import reached
from common.programs import free_port, require_flower
from server.federation.authority import require_pair
from server.federation.federation_folder import FederationFolder
from server.federation.proxy import bring_proxy_file, rotate_proxy_logs
from server.flower.child import Child
from server.flower.fault_log import FaultLog
from server.flower.interrupted_runs import InterruptedRuns
from server.flower.programs import (
    flower_environment,
    port_answers,
    proxy_command,
    superexec_command,
    superlink_answers,
    superlink_command,
)
from server.flower.serve_lock import end_left_behind, note_children, serving
from server.status.federation_status import RENEWAL

log = logging.getLogger(__name__)

START_S = 90.0
"""How long one program may take until it answers; 5 s on an idle machine."""
POLL_S = 0.5
"""From one check of the programs and the members to the next."""
REGISTER_AGAIN_S = 5.0
"""After members could not be registered, until it is tried again."""
CERTIFICATE_CHECK_S = 24 * 3600.0

Say = Callable[[str], None]


def serve(
    folder: FederationFolder, *, with_proxy: bool, say: Say, stop: threading.Event | None = None
) -> None:
    """Nothing, once `stop` is set: SuperLink and SuperExec have run until then.

    with_proxy   nginx is kept alive as well, with the federation's own configuration
    say          takes what the coordinator should read: warnings, and one line when all answer

    ConfigError where files or ports are missing; FlowerError where a program ends or does not
    answer at the start. One that ends later is started again after a delay (server/flower/child),
    and whatever goes wrong in a later check is logged and tried again (server/flower/fault_log).
    """
    stopped = threading.Event() if stop is None else stop
    require_flower()
    _require_credentials(folder)
    with serving(folder):
        end_left_behind(folder)
        if bring_proxy_file(folder):
            say(f"{folder.proxy_file} was written again from {folder.settings_file.name}")
            if not with_proxy:
                say("warning: where nginx runs already, reload it")
        _Server(folder, with_proxy=with_proxy, say=say, stopped=stopped).run()


class _Server:
    def __init__(
        self, folder: FederationFolder, *, with_proxy: bool, say: Say, stopped: threading.Event
    ) -> None:
        self._folder = folder
        self._settings = folder.settings()
        self._say = say
        self._stopped = stopped
        self._executor_port = free_port()
        child = partial(Child, environment=flower_environment(folder), logs=folder.logs)
        self._superlink = child("superlink", superlink_command(folder))
        executor = superexec_command(folder, health_port=self._executor_port)
        self._superexec = child("superexec", executor)
        self._proxy = child("proxy", proxy_command(folder)) if with_proxy else None
        self._children = [c for c in (self._superlink, self._superexec, self._proxy) if c]
        self._interrupted_runs = InterruptedRuns(folder)
        self._faults = FaultLog()
        self._noted: dict[int, tuple[str, ...]] = {}
        self._members_seen: int | None = None
        self._register_after = 0.0
        self._certificates_after = 0.0
        # what the programs have in memory until they are started again
        self._authority = folder.authority_file.read_bytes()
        self._certificate = folder.certificate_file.read_bytes()
        self._rotation_reported = False
        self._pair_seen = self._pair_checked = [0, 0]  # when each was written, in ns

    def run(self) -> None:
        settings = self._settings
        ports = [settings.superlink_port, settings.health_port]
        ports += [settings.port] if self._proxy is not None else []
        for port in ports:
            _require_free(port, self._folder)
        self._folder.logs.mkdir(parents=True, exist_ok=True)
        try:
            self._check_certificates()
            self._start(self._superlink, lambda: superlink_answers(self._folder))
            self._start(self._superexec, self._superexec_answers)
            if self._stopped.is_set():
                return
            self._register_members()  # before the proxy opens: an unknown site gives up
            if self._proxy is not None:
                self._start(self._proxy, lambda: port_answers(settings.port))
            if self._stopped.is_set():
                return
            self._say_ready()
            while not self._stopped.wait(POLL_S):
                self._check()
        finally:
            for child in reversed(self._children):
                with self._faults.logged(f"ending {child.name}"):
                    child.end()
            self._note_children()

    def _check(self) -> None:
        for child in self._children:
            with self._faults.logged(f"checking {child.name}"):
                if child.restart_if_ended() and child is self._superlink:
                    self._members_seen = None  # its database may be a new one
        self._note_children()
        self._register_members()
        for what, check in (
            ("checking the runs", self._interrupted_runs.check),
            ("checking the certificates", self._check_certificates),
            ("checking for a new certificate", self._check_rotation),
            ("checking the server's key", self._check_pair),
            ("rotating the proxy's logs", lambda: rotate_proxy_logs(self._folder)),
        ):
            with self._faults.logged(what):
                check()

    def _register_members(self) -> None:
        """Registers who is new, where members.json has changed since the last time."""
        from server.flower.flower_nodes import reconcile

        now = time.monotonic()
        if now < self._register_after:
            return
        with self._faults.logged("registering the members"):
            file = self._folder.members_file
            changed = file.stat().st_mtime_ns if file.exists() else 0
            if changed == self._members_seen:
                return
            self._register_after = now + REGISTER_AGAIN_S
            done = reconcile(self._folder)
            self._register_after = now + POLL_S
            if not done.running:
                return
            self._members_seen = changed
            for site in done.registered:
                self._say(f"site {site} may connect now")

    def _check_certificates(self) -> None:
        if time.monotonic() < self._certificates_after:
            return
        self._certificates_after = time.monotonic() + CERTIFICATE_CHECK_S
        now = datetime.now(UTC)
        for what, pem in (("server", self._certificate), ("authority", self._authority)):
            warning = expiry_warning(pem, what=f"the {what}'s certificate", now=now)
            if warning is not None:
                self._say(f"warning: {warning}; {RENEWAL[what]}")

    def _check_rotation(self) -> None:
        """Says once that the certificate on disk is not the one in use."""
        file = self._folder.certificate_file
        if self._rotation_reported or not file.is_file() or file.read_bytes() == self._certificate:
            return
        self._rotation_reported = True
        self._say(
            f"warning: {file} is new; it counts only after a reload of nginx and a restart of "
            "`lesionfed serve`"
        )

    def _check_pair(self) -> None:
        """Says once that key and certificate on disk do not fit, as after a rotation cut off.

        Checked when both are unchanged since the last time: a rotation may be under way.
        """
        files = (self._folder.certificate_key_file, self._folder.certificate_file)
        now = [file.stat().st_mtime_ns for file in files]
        unchanged, self._pair_seen = now == self._pair_seen, now
        if not unchanged or now == self._pair_checked:
            return
        try:
            require_pair(self._folder)
        except ConfigError as error:
            self._say(f"warning: {error} Until then neither nginx nor the SuperLink restarts.")
        self._pair_checked = now

    def _start(self, child: Child, answers: Callable[[], bool]) -> None:
        """Starts the program and waits until it answers, or the server is to stop."""
        if self._stopped.is_set():
            return
        child.start()
        self._note_children()
        until = time.monotonic() + START_S
        while not answers():
            if not child.is_alive:
                time.sleep(0.2)  # its last lines may still be on their way
                raise FlowerError(
                    f"{child.name} ended as soon as it was started. See {child.log_file}, which "
                    f"ends with\n{child.last_lines}"
                )
            if time.monotonic() > until:
                raise FlowerError(
                    f"{child.name} has not answered within {START_S:g} s. See {child.log_file}."
                )
            if self._stopped.wait(0.1):
                return

    def _superexec_answers(self) -> bool:
        return grpc_health("SuperExec", port=self._executor_port, fix="wait").good

    def _note_children(self) -> None:
        """Notes what runs, where that is not noted yet; a note that fails is made later."""
        commands = {c.pid: c.command for c in self._children if c.pid is not None}
        if commands == self._noted:
            return
        with self._faults.logged("noting the programs in serve.json"):
            note_children(self._folder, commands)
            self._noted = commands

    def _say_ready(self) -> None:
        """Says where sites reach this, or why the promised address does not answer from here."""
        settings = self._settings
        n_active = len(self._folder.members().active_keys())
        members = f"{n_active} of {len(settings.sites)} sites have enrolled"
        if self._proxy is None:
            self._say(
                f"ready on 127.0.0.1:{settings.superlink_port}; {members}. Sites reach it only "
                f"through a proxy in front, such as nginx with {self._folder.proxy_file}"
            )
            return
        promised = Coordinator(
            address=settings.address,
            port=settings.port,
            authority_file=self._folder.authority_file,
        )
        failed = next((result for result in reached(promised) if not result.good), None)
        if failed is None:
            self._say(f"ready: sites reach {promised.shown}; {members}")
            return
        self._say(
            f"warning: everything runs, but {promised.shown} does not answer from this machine: "
            f"{failed.name}: {failed.found}. {failed.fix} Behind a router that does not lead back "
            "in it can answer all the same: ask a site for `lesionfed-site preflight`."
        )
        self._say(f"started; {members}")


def _require_credentials(folder: FederationFolder) -> None:
    """Nothing, or ConfigError where a federation's files are missing or a certificate has ended."""
    folder.settings()
    files = (
        folder.authority_file,
        folder.certificate_file,
        folder.certificate_key_file,
        folder.executor_secret_file,
    )
    if missing := [str(file) for file in files if not file.is_file()]:
        raise ConfigError(
            f"{folder.path}: {', '.join(missing)} missing. Restore them, or provision a new "
            "federation with `lesionfed provision`."
        )
    read_requests_key(folder.requests_key_file)
    now = datetime.now(UTC)
    require_valid(folder.authority_file.read_bytes(), what=str(folder.authority_file), now=now)
    require_pair(folder)
    start, end = validity(folder.certificate_file.read_bytes())
    if not start <= now <= end:
        raise ConfigError(
            f"{folder.certificate_file} holds from {start.isoformat()} to {end.isoformat()} and it "
            f"is {now.isoformat(timespec='seconds')}. Check the clock, or run `lesionfed rotate`."
        )


def _require_free(port: int, folder: FederationFolder) -> None:
    """Nothing, or ConfigError where something on this machine uses the port already."""
    if port_answers(port):
        raise ConfigError(
            f"port {port} is taken by another program. End that one, or name another port in "
            f"{folder.settings_file}."
        )
