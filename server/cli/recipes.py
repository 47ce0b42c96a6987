"""`lesionfed recipes`: the experiments that come with LesionFed, and whose choice each value is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

recipes = typer.Typer(
    help="Lists the recipes, or shows one: each value, whether its paper states it, and where.",
    invoke_without_command=True,
)
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@recipes.callback()
def _list_without_a_command(as_json: AsJson = False) -> None:
    """Lists the recipes, or shows one: each value, whether its paper states it, and where."""
    if click.get_current_context().invoked_subcommand is None:
        list_recipes(as_json=as_json)


@recipes.command("list")
def list_recipes(as_json: AsJson = False) -> None:
    """Lists the recipes that come with LesionFed."""
    from common.recipe.recipe import load_recipe, shipped_recipes

    loaded = {name: load_recipe(name) for name in shipped_recipes()}
    if as_json:
        rows = {
            name: {"description": recipe.description, "sha256": recipe.sha256()}
            for name, recipe in loaded.items()
        }
        print(json.dumps(rows))
        return
    for name, recipe in loaded.items():
        print(f"{name:16} {recipe.sha256()[:12]}  {recipe.description}")


@recipes.command()
def show(
    name: Annotated[str, typer.Argument(help="A recipe that comes with LesionFed, or a file.")],
    toml: Annotated[
        bool, typer.Option("--toml", help="The file as it stands, to make your own from.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Shows every value of a recipe: stated in its paper, chosen by us, or the default.

    With a stated value go the section and the words of the paper, quoted or as we read them. Below
    it the methods that `lesionfed study` compares, and what `--scale small` changes.
    """
    from common.errors import printable_lines
    from common.recipe.recipe import recipe_file

    path = recipe_file(name)
    if toml:
        print(printable_lines(path.read_text(encoding="utf-8").expandtabs(2)), end="")
        return
    facts = _facts(name, path)
    if as_json:
        print(json.dumps(facts))
    else:
        _show(facts)


def _facts(name: str, path: Path) -> dict[str, Any]:
    """The recipe, its variants and its small scale, each value with its mark, ready for JSON."""
    from common.recipe.provenance import dotted_values, read_provenance
    from common.recipe.recipe import load_recipe, variants_of
    from common.recipe.sources import read_sources
    from common.settings import read_toml

    recipe, table = load_recipe(name), read_toml(path)
    provenance = read_provenance(path.read_text(encoding="utf-8"))
    sources = read_sources(path)
    written = dotted_values(table)

    def row(key: str, value: object, place: str = "") -> dict[str, Any]:
        found = provenance.get(f"{place}{key}")
        kind = "default" if f"{place}{key}" not in written else None
        source = sources.get(f"{place}{key}")
        return {
            "key": key,
            "value": value,
            "kind": kind if found is None else found.kind,
            "words": "" if found is None else found.comment,
            "source": None if source is None else source.model_dump(mode="json"),
            "stated_in": None if source is None else source.as_text,
        }

    def rows(changes: Mapping[str, object], place: str) -> list[dict[str, Any]]:
        return [row(key, value, place) for key, value in dotted_values(changes).items()]

    return {
        "name": recipe.name,
        "description": recipe.description,
        "sha256": recipe.sha256(),
        "paper": next((source.paper for source in sources.values()), None),
        "settings": rows(recipe.model_dump(mode="json", exclude={"name", "description"}), ""),
        "variants": {
            variant: rows(changes, f"variants.{variant}.")
            for variant, changes in variants_of(name).items()
        },
        "small": rows(table.get("scale", {}).get("small", {}), "scale.small."),
    }


def _show(facts: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    lines = [f"{facts['name']}  {facts['sha256'][:12]}", facts["description"]]
    if facts["paper"] is not None:
        lines.append(
            f"Paper: {facts['paper']}. Words in quotation marks stand so in the text or code that "
            "is named; the others are its content as we read it."
        )
    for line in lines:
        console.print(line, markup=False, highlight=False)
    console.print(_table(facts["settings"], "settings", facts["paper"]))
    for variant, rows in facts["variants"].items():
        console.print(_table(rows, f"variant {variant}", facts["paper"]))
    if facts["small"]:
        console.print(_table(facts["small"], "what --scale small changes", facts["paper"]))


def _table(rows: list[dict[str, Any]], title: str, paper: str | None) -> Any:
    """The rows below the name of their section, so that keys stay short.

    paper   of the recipe: the source of a value names its paper where it is another
    """
    from rich.markup import escape
    from rich.table import Table

    from common.errors import printable_lines

    table = Table(title=title, title_justify="left")
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold", max_width=18)
    table.add_column("whose choice, and where it is stated", overflow="fold")
    before = ""
    for row in rows:
        section, _, key = row["key"].partition(".")
        if not key:
            section, key = "", section
        if section not in ("", before):
            table.add_section()
            table.add_row(escape(f"[{section}]"))
        before = section
        texts = (key, json.dumps(row["value"]), "\n".join(_whose_choice(row, paper)))
        table.add_row(*(escape(printable_lines(text)) for text in texts))
    return table


def _whose_choice(row: dict[str, Any], paper: str | None) -> Iterator[str]:
    """The kind of choice with the recipe's comment, and the place where a paper states it.

    Where a value is stated and chosen, the marks in the comment say which part is whose.
    """
    if row["kind"] == "stated and chosen":
        yield row["words"]
    elif row["kind"] is not None:
        yield f"{row['kind']}: {row['words']}" if row["words"] else row["kind"]
    source = row["source"]
    if source is not None:
        another = source["paper"] != paper
        yield f"  {source['paper']}, {row['stated_in']}" if another else f"  {row['stated_in']}"
