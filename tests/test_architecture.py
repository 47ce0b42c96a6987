"""The rooms of each package and the arrows between them, and a few promises about every file.

A file that lies in the wrong room fails here with a sentence that names the right one. The rooms
are drawn, and ten ordinary changes placed, in docs/architecture.md.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import importlib.metadata
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"common": {"common"}, "client": {"client", "common"}, "server": {"server", "common"}}
SEAM = "server/inline.py"

ROOMS: Mapping[str, str] = {
    # common: what both sides must agree on
    "common/errors.py": "every error by its class",
    "common/arrays.py": "names for arrays by kind and precision",
    "common/seeds.py": "the one function that derives seeds",
    "common/files.py": "whole-or-nothing writes, file locks, paths that are one",
    "common/settings.py": "TOML in, checked settings out",
    "common/code_digest.py": "the digest of our own code",
    "common/machine.py": "free memory, installed packages",
    "common/programs.py": "how programs are started, and Flower's version",
    "common/recipe/": "the experiment as data, one file a section",
    "common/metrics/": "figures of one mask beside another, one family a file",
    "common/imaging/": "volumes, grids, masks: what every step on images needs",
    "common/imaging/intake/": "is a case usable? checks and findings",
    "common/imaging/preprocessing/": "scanner images to the common grid, one step a file",
    "common/imaging/standardization/": "intensities to the consortium's template, then z-score",
    "common/imaging/dataset/": "usable cases to what the network reads, and their split",
    "common/phantom/": "synthetic hospitals",
    "common/wire/": "messages: what is not a field does not travel",
    "common/learning/networks/": "one network a file, and their parameters as arrays",
    "common/learning/losses/": "one loss a file",
    "common/learning/augmentation/": "one augmentation a file",
    "common/learning/sampling/": "one way to draw patches a file",
    "common/learning/lesion_wise/": "the learned lesion metric and its loss",
    "common/learning/": "one model trained, and used for prediction",
    "common/model_file.py": "a trained network as one file",
    "common/membership/": "kits, keys, signatures, names of sites",
    "common/preflight/": "checks before a run that both sides make",
    "common/figures/": "charts, mosaics, the viewer, the page's frame",
    "common/cli/": "what both command lines print and check alike",
    # client: one hospital
    "client/site/": "what the hospital owns on its disk",
    "client/check/": "what is wrong with a folder, as a page",
    "client/prepare/": "raw BIDS to prepared volumes",
    "client/preflight/": "checks before a site's node runs",
    "client/failure.py": "an error as a class and a code",
    "client/phases/": "the site's half of each phase",
    "client/handle.py": "a request in, the reply out, without Flower",
    "client/app.py": "the ClientApp",
    "client/flower/": "Flower's processes at a site",
    "client/cli/": "lesionfed-site, one command a file",
    # server: the coordinator and the evaluator
    "server/aggregation/": "one rule a file: accumulate and result",
    "server/run/": "one run on disk: folder, state, checkpoint",
    "server/evaluation/": "held-out sites predicted, scored and summed up",
    "server/events/": "what happened: schema, log, history, texts",
    "server/compare/": "runs side by side",
    "server/papers/": "published tables beside ours",
    "server/federation/": "who belongs: authority, enrolment, members",
    "server/federation/preflight/": "checks before the coordinator serves",
    "server/rounds/": "messages to the sites and back",
    "server/phases/": "the coordinator's half of each phase",
    "server/notify/": "notices to the coordinator",
    "server/status/": "how a run and a federation stand",
    "server/report/": "the page on a run",
    "server/central_evaluation.py": "held-out sites scored along a run",
    "server/execute_run.py": "one run from its folder to its report",
    "server/inline.py": "the engine without Flower's processes",
    "server/simulate.py": "a whole federation on one machine",
    "server/studies/": "many runs as one study",
    "server/studies/methods/": "the methods of a recipe side by side",
    "server/studies/leave_site_out/": "every site held out once",
    "server/flower/": "Flower's processes at the coordinator",
    "server/app.py": "the ServerApp",
    "server/cli/": "lesionfed, one command a file",
}
"""Every room and what it holds, from the lowest up: a room imports only rooms named before it."""

HOMES: Mapping[str, tuple[str, ...]] = {
    "flwr": (
        "client/app.py",
        "client/flower/",
        "common/preflight/",
        "common/wire/",
        "server/app.py",
        "server/execute_run.py",
        "server/flower/",
        "server/inline.py",
        "server/rounds/",
    ),
    "typer": ("client/cli/", "common/cli/", "server/cli/"),
    "rich": ("client/cli/", "common/cli/", "server/cli/"),
    "matplotlib": ("common/figures/", "client/prepare/"),
    "jinja2": ("common/figures/",),
    "fcntl": ("common/files.py",),
    "tomllib": ("common/settings.py", "common/recipe/", "client/flower/"),
    "SimpleITK": ("common/imaging/", "common/imaging/preprocessing/", "client/prepare/"),
    "smtplib": ("server/notify/",),
    "cryptography": (
        "common/membership/",
        "common/preflight/",
        "server/federation/",
        "server/flower/",
        "server/rounds/",
    ),
    "sqlite3": ("server/flower/",),
}
"""A library -> the only rooms that may import it."""

MOST_ENTRIES = {"server": 21, "client": 14, "common": 20}
MOST_LINES = 420

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TEXTS = sorted(
    path
    for package in PACKAGES
    for ending in ("*.py", "*.js", "*.j2")
    for path in (ROOT / package).rglob(ending)
)


def imports_of(path: Path) -> Iterator[str]:
    """The full name of each module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if file_of(name) is not None else str(node.module)


def file_of(module: str) -> Path | None:
    """The file of one of our modules; None for any other name."""
    path = ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(name: str) -> str | None:
    """The room a file lies in: the longest one that its path begins with."""
    fitting = [
        room for room in ROOMS if name == room or (room[-1] == "/" and name.startswith(room))
    ]
    return max(fitting, key=len, default=None)


def our_imports(path: Path) -> set[str]:
    files = (file_of(name) for name in imports_of(path))
    return {shown(file) for file in files if file is not None and file.parent != ROOT}


def placed(name: str, above: set[str]) -> str:
    """A sentence that names the lowest room of the package above all rooms in `above`."""
    order, package = list(ROOMS), name.split("/")[0]
    highest = max((order.index(room) for room in above), default=-1)
    fitting = [r for r in order[highest:] if r.startswith(f"{package}/") and r.endswith("/")]
    if not fitting:
        return f"No room of {package}/ may import all of {sorted(above)}: split the file."
    return f"Put it into {fitting[0]} ({ROOMS[fitting[0]]}), or take the import out."


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_a_package_imports_only_what_lies_below_it(path: Path) -> None:
    package = shown(path).split("/")[0]
    ours = {name.split(".")[0] for name in imports_of(path)} & PACKAGES.keys()
    assert ours <= PACKAGES[package]


def test_every_file_lies_in_a_room() -> None:
    packages = {f"{package}/__init__.py" for package in PACKAGES}
    homeless = [n for n in map(shown, FILES) if room_of(n) is None and n not in packages]
    assert homeless == [], (
        f"{homeless}: in no room. docs/architecture.md says where a file goes; a new room gets a "
        "line in ROOMS, above all rooms that it imports."
    )


def test_every_room_is_there() -> None:
    assert [room for room in ROOMS if not (ROOT / room).exists()] == []


def faults_of(name: str, imported: set[str]) -> list[str]:
    """A sentence for each import of a file that runs back up between rooms."""
    order, room = list(ROOMS), room_of(name)
    assert room is not None
    package = name.split("/")[0]
    rooms = {other: room_of(other) for other in imported if other.startswith(f"{package}/")}
    above = {r for r in rooms.values() if r is not None and r != room}
    return [
        f"{name} imports {other}, but {room} lies below {theirs}. {placed(name, above)}"
        for other, theirs in sorted(rooms.items())
        if theirs is not None and order.index(theirs) > order.index(room)
    ]


def test_arrows_between_rooms_run_down() -> None:
    in_rooms = [path for path in FILES if room_of(shown(path)) is not None]
    faults = [fault for path in in_rooms for fault in faults_of(shown(path), our_imports(path))]
    assert faults == [], "\n".join(faults)


def test_a_file_in_the_wrong_room_is_told_the_right_one() -> None:
    name, imported = "server/aggregation/rule.py", {"server/rounds/loop.py", "common/errors.py"}
    assert faults_of(name, imported) == [
        "server/aggregation/rule.py imports server/rounds/loop.py, but server/aggregation/ lies "
        "below server/rounds/. Put it into server/rounds/ (messages to the sites and back), or "
        "take the import out."
    ]


def test_no_circle_of_imports() -> None:
    graph = {shown(path): our_imports(path) - {shown(path)} for path in FILES}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_in_its_rooms(library: str) -> None:
    strangers = [
        shown(path)
        for path in FILES
        if any(f"{name}.".startswith(f"{library}.") for name in imports_of(path))
        and room_of(shown(path)) not in HOMES[library]
    ]
    assert strangers == [], f"{library} is imported in {', '.join(HOMES[library])} alone"


@functools.cache
def public_classes() -> Mapping[str, list[str]]:
    classes = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes[node.name].append(shown(path))
    return classes


def test_no_two_public_classes_have_one_name() -> None:
    assert {name: files for name, files in public_classes().items() if len(files) > 1} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_few_entries(package: str) -> None:
    ignored = {"__init__.py", "py.typed", "__pycache__"}
    entries = sorted({path.name for path in (ROOT / package).iterdir()} - ignored)
    assert len(entries) <= MOST_ENTRIES[package], f"{entries}: a new file goes into a room"


def test_no_file_is_too_long() -> None:
    lines = {shown(path): path.read_text("utf-8").count("\n") for path in TEXTS}
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}


def test_the_page_on_the_architecture_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [room for room in ROOMS if f"`{room}`" not in page] == []


def test_only_the_inline_engine_loads_a_package_by_name() -> None:
    loaders = [shown(path) for path in FILES if "import_module(" in path.read_text("utf-8")]
    assert loaders == [SEAM]


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
    for package in PACKAGES:
        assert set(owners.get(package, ["lesionfed"])) == {"lesionfed"}


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
