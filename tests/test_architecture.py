"""The arrows between the rooms run one way, and a few promises about every file hold."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"common": {"common"}, "client": {"client", "common"}, "server": {"server", "common"}}
SEAM = "server/inline.py"
FLOWER_ROOMS = (
    "client/app.py",
    "client/flower/",
    "server/app.py",
    "server/execute_run.py",
    "server/inline.py",
    "server/rounds/",
    "common/preflight/node_key.py",
    "common/wire/",
)
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name"
            yield str(node.module)


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_a_room_imports_only_what_lies_below_it(path: Path) -> None:
    room = shown(path).split("/")[0]
    ours = {name.split(".")[0] for name in imports_of(path)} & ROOMS.keys()
    assert ours <= ROOMS[room]


def test_only_the_inline_engine_loads_a_room_by_name() -> None:
    loaders = [shown(path) for path in FILES if "import_module(" in path.read_text("utf-8")]
    assert loaders == [SEAM]


def test_flower_appears_only_where_messages_are_carried() -> None:
    users = {shown(p) for p in FILES if any(n.split(".")[0] == "flwr" for n in imports_of(p))}
    assert {user for user in users if not user.startswith(FLOWER_ROOMS)} == set()


def test_files_are_locked_in_one_place() -> None:
    users = [shown(p) for p in FILES if "fcntl" in {n.split(".")[0] for n in imports_of(p)}]
    assert users == ["common/files.py"], "lock a file with common.files.locked"


def test_nothing_is_pickled() -> None:
    forbidden = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}
    guilty = [shown(p) for p in FILES if forbidden & {n.split(".")[0] for n in imports_of(p)}]
    guilty += [
        shown(p)
        for p in FILES
        if "torch.load" in p.read_text("utf-8") or "allow_pickle=True" in p.read_text("utf-8")
    ]
    assert guilty == []


def test_nothing_prints_outside_the_command_lines() -> None:
    guilty = [
        shown(path)
        for path in FILES
        if "/cli/" not in shown(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print"
    ]
    assert guilty == []


def test_no_other_distribution_owns_our_import_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for room in ROOMS:
        assert set(owners.get(room, ["lesionfed"])) == {"lesionfed"}


@pytest.mark.parametrize("program", ["server.cli", "client.cli"])
def test_help_imports_nothing_heavy(program: str) -> None:
    code = (
        f"import sys; from {program} import main; main(['--help']); "
        "heavy = {'torch', 'monai', 'flwr', 'nilearn', 'bids', 'matplotlib', 'scipy'}; "
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "Usage" in done.stdout
