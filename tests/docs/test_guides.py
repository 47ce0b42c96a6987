"""The guides tell of commands that exist, and keep the promise of how few they are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import typer

import client.cli
import server.cli
from client.site.new_site import SETTINGS
from client.site.settings import Site
from common.settings import read_toml
from server.federation.federation_folder import FederationSettings

ROOT = Path(__file__).parents[2]
PAGES = {
    "coordinator": ROOT / "docs" / "coordinator.md",
    "site": ROOT / "docs" / "site.md",
    "troubleshooting": ROOT / "docs" / "troubleshooting.md",
    "scaling": ROOT / "docs" / "scaling.md",
    "deploy": ROOT / "deploy" / "README.md",
}
PROGRAMS = {"lesionfed": server.cli.build_parser, "lesionfed-site": client.cli.build_parser}


def text_of(page: str) -> str:
    return PAGES[page].read_text("utf-8")


def fenced(text: str) -> list[str]:
    return re.findall(r"(?ms)^```\w*\n(.*?)^```$", text)


def commands_in(text: str) -> list[str]:
    """Every call of our programs, in blocks and in code spans, without what follows a #."""
    lines = [line.strip() for block in fenced(text) for line in block.splitlines()]
    prose = re.sub(r"(?ms)^```.*?^```$", "", text)
    lines += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    return [
        line.partition("#")[0].strip()
        for line in lines
        if line.split(" ")[0] in PROGRAMS and " " in line
    ]


def numbered(text: str) -> list[int]:
    lines = [line for block in fenced(text) for line in block.splitlines()]
    return [int(found[1]) for line in lines if (found := re.search(r"  # (\d+)(,|$)", line))]


def fault_of(line: str) -> str | None:
    """The command or option in a call that does not exist; None where all do."""
    program, *words = shlex.split(line)
    command = typer.main.get_command(PROGRAMS[program]())
    name = words[0]
    if name.startswith("-"):
        return None if name == "--help" else f"{program} has no option {name}"
    with click.Context(command) as context:
        assert isinstance(command, typer.core.TyperGroup)
        called = command.get_command(context, name)
    if called is None:
        return f"{program} has no command {name}"
    known = {option for parameter in called.params for option in parameter.opts}
    odd = [w for w in words[1:] if w.startswith("--") and w.partition("=")[0] not in known]
    return f"{program} {name} has no option {', '.join(odd)}" if odd else None


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_the_page_exists_with_its_options(page: str) -> None:
    faults = {fault for line in commands_in(text_of(page)) if (fault := fault_of(line))}
    assert faults == set()


def test_the_check_of_commands_notices_what_does_not_exist() -> None:
    assert fault_of("lesionfed provisoin x.toml") == "lesionfed has no command provisoin"
    assert fault_of("lesionfed rotate --federaton f") == (
        "lesionfed rotate has no option --federaton"
    )
    assert fault_of("lesionfed rotate --federation f") is None
    assert "lesionfed rotate --federation f" in commands_in("a `lesionfed rotate --federation f` b")


def test_a_first_round_takes_fewer_than_20_commands_at_both_sides_together() -> None:
    coordinator, site = numbered(text_of("coordinator")), numbered(text_of("site"))
    assert coordinator == list(range(1, len(coordinator) + 1))
    assert site == list(range(1, len(site) + 1))
    assert len(coordinator) == 8, "as the page says"
    assert len(site) == 8, "as the page says"
    assert len(coordinator) + len(site) < 20


def test_the_coordinator_s_settings_are_as_the_page_shows_them(tmp_path: Path) -> None:
    [shown] = re.findall(r"(?ms)^```toml\n(.*?)^```$", text_of("coordinator"))
    file = tmp_path / "consortium.toml"
    file.write_text(shown, "utf-8")
    settings = FederationSettings.from_table(read_toml(file), where=str(file))
    assert [(site.name, site.role) for site in settings.sites] == [
        ("lyon", "train"),
        ("ghent", "train"),
        ("turin", "evaluate"),
    ]


def test_the_site_s_settings_are_as_the_page_shows_them(tmp_path: Path) -> None:
    [shown] = re.findall(r"(?ms)^```toml\n(.*?)^```$", text_of("site"))
    file = tmp_path / "site.toml"
    file.write_text(shown, "utf-8")
    assert Site.from_table(read_toml(file), where=str(file)).name == "lyon"
    assert "min_subjects = 5" in SETTINGS, "init writes the same"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text_of(page))
    missing = [
        link
        for link in links
        if not link.startswith("http") and not (PAGES[page].parent / link).exists()
    ]
    assert missing == []
