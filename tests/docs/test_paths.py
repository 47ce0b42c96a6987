"""Every file, module and link that the pages name exists."""

from __future__ import annotations

import importlib
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("server", "client", "common", "tests", "benchmarks", "docs", "deploy")
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "deploy" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "common" / "recipes").glob("*.toml"),
    ]
)
IDS = [str(page.relative_to(ROOT)) for page in PAGES]

PAST = "<!-- past -->"
"""At the end of a line that names what there was, such as in a decision that was replaced."""

PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})(?:/[\w.*-]+)+")
FILE_NAME = re.compile(r"`([\w-]+\.py)`")
MODULE = re.compile(r"(?:python -m |(?m:^)from )((?:server|client|common|benchmarks)(?:\.\w+)+)")
IMPORTED = re.compile(r"(?m)^from ((?:server|client|common|benchmarks)(?:\.\w+)+) import (.+)$")
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def text_of(page: Path) -> str:
    lines = page.read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if not line.endswith(PAST))


@cache
def file_names() -> frozenset[str]:
    ours = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    return frozenset(file.name for file in (*ours, *ROOT.glob("*.py")))


def missing_paths(text: str) -> set[str]:
    """Paths from the repository's root that lead nowhere; * and a number's first digits may."""
    found = {match.rstrip(".") for match in PATH.findall(text)}
    return {path for path in found if not any(ROOT.glob(f"{path}*"))}


def missing_names(text: str) -> set[str]:
    return {name for name in FILE_NAME.findall(text) if name not in file_names()}


def missing_modules(text: str) -> set[str]:
    found = {name for name in MODULE.findall(text) if importlib.util.find_spec(name) is None}
    for module, names in IMPORTED.findall(text):
        if module not in found:
            loaded = importlib.import_module(module)
            found |= {f"{module}.{n}" for n in names.split(", ") if not hasattr(loaded, n)}
    return found


def anchors_of(page: Path) -> set[str]:
    """What a link may name after #: each heading, as GitHub writes it."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text("utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def missing_links(page: Path, text: str) -> set[str]:
    found = set()
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            found.add(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_what_the_page_names_exists(page: Path) -> None:
    text = text_of(page)
    missing = missing_paths(text) | missing_names(text) | missing_modules(text)
    assert missing | missing_links(page, text) == set()


def test_what_does_not_exist_is_noticed() -> None:
    assert missing_paths("see `server/rounds/fold.py` and common/recipes/*.toml.") == {
        "server/rounds/fold.py"
    }
    assert missing_names("`folded.py`, `test_paths.py`") == {"folded.py"}
    assert missing_modules("from common.files import write_whole, torn\n") == {"common.files.torn"}
    assert missing_modules("python -m benchmarks.gone") == {"benchmarks.gone"}
    page = ROOT / "docs" / "run.md"
    assert missing_links(page, "[a](site.md#no-such) [b](gone.md) [c](site.md#day-by-day)") == {
        "site.md#no-such",
        "gone.md",
    }
