"""`lesionfed recipes`: the experiments that come with LesionFed."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe whole.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Lists the recipes, or prints one as it stands in its file."""
    from common.recipe import load_recipe, shipped_recipes

    if name is not None:
        recipe = load_recipe(name)
        print(recipe.canonical_json() if as_json else shipped_recipes()[name].read_text("utf-8"))
        return
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
