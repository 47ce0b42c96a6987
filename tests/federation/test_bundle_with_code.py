"""A coordinator that sends code: what a hospital's node does with it, beside Flower's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from flwr.common.constant import ErrorCode

from tests.federation.site_command import SiteCommandConsortium

pytestmark = pytest.mark.federation

RUN_S = 600.0
MARKER = "foreign-code-ran-here"

PROJECT = """
[project]
name = "lesionfed"
version = "0.1.0"
license = "Apache-2.0"
dependencies = ["flwr==1.41.*"]

[tool.flwr.app]
publisher = "lesionfed"
fab-include = ["/*.md", "/*.py", "/client/*.py"]

[tool.flwr.app.components]
serverapp = "probe:app"
clientapp = "client.app:app"

[tool.flwr.app.config]
answers = ""
"""

FOREIGN = f"""
import os
from pathlib import Path

from flwr.app import RecordDict, Message
from flwr.clientapp import ClientApp

Path(os.environ["FLWR_HOME"], {MARKER!r}).touch()
app = ClientApp()


@app.query("lesionfed")
def answer(message, context):
    return Message(RecordDict(), reply_to=message)
"""

PROBE = """
import json
import time
from pathlib import Path

from flwr.app import Message, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()


@app.main()
def main(grid, context):
    names = {node.node_id: node.name for node in grid.get_nodes()}
    sent = [Message(RecordDict(), node, "query.lesionfed", ttl=300.0) for node in names]
    wanted = set(grid.push_messages(sent))
    told = {}
    end = time.monotonic() + 300
    while wanted and time.monotonic() < end:
        for reply in grid.pull_messages(list(wanted)):
            wanted.discard(reply.metadata.reply_to_message_id)
            error = reply.error if reply.has_error() else None
            name = names[reply.metadata.src_node_id]
            told[name] = [error.code, error.reason] if error else None
        time.sleep(0.2)
    Path(context.run_config["answers"]).write_text(json.dumps(told))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Aftermath:
    """What is left after a bundle with code was sent to a guarded site and to one of stock Flower.

    told      site -> the error's code and text that reached the coordinator, None for an answer
    marked    the sites at which the foreign code ran
    unpacked  the files of the bundle on the guarded site's disk
    site_log  of the guarded site
    """

    told: dict[str, list[object] | None]
    marked: set[str]
    unpacked: set[str]
    site_log: str


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    base = tmp_path_factory.mktemp("code")
    bundle = base / "bundle"
    write_bundle_with_code(bundle)
    sites = {name: base / f"{name}.toml" for name in ("guarded", "stock")}
    answers = base / "answers.json"
    with SiteCommandConsortium(base / "processes", sites) as consortium:
        run_id = consortium.submit_code(bundle, {"answers": str(answers)})
        outcome = consortium.wait(run_id, timeout_s=RUN_S)
        assert outcome.status == "finished:completed", outcome.details
        apps = {site: consortium.apps_folder(site) for site in sites}
        log = (consortium.site("guarded").logs / "supernode.log").read_text("utf-8")
    return Aftermath(
        told=json.loads(answers.read_text("utf-8")),
        marked={site for site, folder in apps.items() if (folder.parent / MARKER).exists()},
        unpacked={path.name for path in apps["guarded"].rglob("*") if path.is_file()},
        site_log=log,
    )


def test_code_in_a_bundle_runs_under_flowers_own_program_and_not_under_ours(
    aftermath: Aftermath,
) -> None:
    assert aftermath.marked == {"stock"}
    assert aftermath.told["stock"] is None  # the foreign app answered


def test_nothing_of_the_bundle_is_unpacked_at_the_guarded_site(aftermath: Aftermath) -> None:
    assert aftermath.unpacked == set()


def test_the_coordinator_receives_the_code_and_no_path(aftermath: Aftermath) -> None:
    raised = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert aftermath.told["guarded"] == [raised, "BundleRefused: bundle-has-code"]


def test_the_site_reads_in_its_log_what_was_found(aftermath: Aftermath) -> None:
    assert "holds 'client/__init__.py', 'client/app.py', 'probe.py'" in aftermath.site_log


def write_bundle_with_code(folder: Path) -> None:
    """An app that any Flower builds and runs, whose `client.app` stands in for the installed."""
    (folder / "client").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT, "utf-8")
    (folder / "README.md").write_text("An app with code.\n", "utf-8")
    (folder / "probe.py").write_text(PROBE, "utf-8")
    (folder / "client" / "__init__.py").write_text("", "utf-8")
    (folder / "client" / "app.py").write_text(FOREIGN, "utf-8")
