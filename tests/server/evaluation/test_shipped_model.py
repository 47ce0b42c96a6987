"""The model that comes with LesionFed: found, checked, and allowed into the repository alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from common.errors import ConfigError, ModelFileError
from common.learning.model import new_network
from common.learning.networks.parameters import load_parameters
from common.model_file import RESEARCH_USE, Model, read_model
from common.recipe.recipe import load_recipe
from server.evaluation import shipped_model as shipped
from server.evaluation.shipped_model import (
    FILE,
    FOLDER,
    SECTIONS,
    digest_file,
    require_card,
    sections_of,
    sha256_of,
    shipped_model,
    write_digest,
)
from tests.model_cards import card_of

LARGEST_BYTES = 8_000_000
MODEL = Model(
    recipe=load_recipe("default"),
    template={},
    threshold=0.5,
    round_index=0,
    run="none",
    parameters={},
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation's folder, still without a model."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    return tmp_path


def test_an_installation_without_a_model_says_so_and_what_to_do(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model of its own .*Name one with --model FILE"):
        shipped_model()


def test_the_file_is_found_and_one_changed_byte_is_noticed(folder: Path) -> None:
    model = folder / FILE
    model.write_bytes(b"parameters")
    write_digest(model)
    assert shipped_model() == model
    model.write_bytes(b"parameterS")
    with pytest.raises(ModelFileError, match=r"want the SHA-256 [0-9a-f]{64}, as lesions.sha256"):
        shipped_model()


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"no digest"])
def test_a_model_without_a_digest_beside_it_is_refused(folder: Path, content: bytes | None) -> None:
    model = folder / FILE
    model.write_bytes(b"parameters")
    if content is not None:
        digest_file(model).write_bytes(content)
    with pytest.raises(
        ModelFileError, match=r"want the SHA-256 of lesions.safetensors, found none"
    ):
        shipped_model()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_the_digest_is_one_that_sha256sum_checks(folder: Path) -> None:
    (folder / FILE).write_bytes(b"parameters")
    write_digest(folder / FILE)
    subprocess.run(["sha256sum", "--check", "lesions.sha256"], cwd=folder, check=True)


def test_all_that_a_card_lacks_is_said_at_once() -> None:
    require_card(card_of(MODEL), MODEL, where=Path("card.md"))
    lacking = "# Lesions\n\n## Trained on\n\n## Figures\n\n0.5\n"
    with pytest.raises(ConfigError) as caught:
        require_card(lacking, MODEL, where=Path("card.md"))
    told = str(caught.value)
    assert told.startswith("card.md: the model card lacks")
    assert [name for name in SECTIONS if f"'## {name}'" not in told] == ["Figures"]
    for words in (RESEARCH_USE, MODEL.recipe.sha256(), "'commit 0a1b2c3', under '## Command'"):
        assert words in told


def test_the_card_of_another_recipe_is_refused() -> None:
    other = Model(
        recipe=load_recipe("default", overrides=["seed=1"]),
        template={},
        threshold=0.5,
        round_index=0,
        run="none",
        parameters={},
    )
    with pytest.raises(ConfigError, match=other.recipe.sha256()):
        require_card(card_of(MODEL), other, where=Path("card.md"))


def test_git_takes_this_one_weights_file_and_no_other() -> None:
    root = Path(__file__).parents[3]
    if shutil.which("git") is None or not (root / ".git").exists():
        pytest.skip("not a checkout")

    def ignored(path: Path) -> bool:
        asked = ["git", "check-ignore", "--quiet", "--no-index", str(path.relative_to(root))]
        return subprocess.run(asked, cwd=root, check=False).returncode == 0

    assert not ignored(FOLDER / FILE)
    for other in (FOLDER / "other.safetensors", FOLDER / "sub" / FILE, root / FILE):
        assert ignored(other)


@pytest.mark.skipif(not (FOLDER / FILE).exists(), reason="no trained model is in the package yet")
def test_the_model_in_the_package_is_small_whole_and_says_where_it_comes_from() -> None:
    file = shipped_model()
    assert file.stat().st_size <= LARGEST_BYTES
    assert digest_file(file).read_text("ascii") == f"{sha256_of(file)}  {FILE}\n"
    model = read_model(file)
    load_parameters(new_network(model.recipe), model.parameters)
    assert model.recipe.task.modalities == ("FLAIR", "T1w")
    assert model.recipe.task.optional_modalities == ("T1w",)
    assert model.card is not None
    require_card(model.card, model, where=file)
    assert model.card == file.with_suffix(".md").read_text("utf-8")
    attribution = sections_of(model.card)["Attribution"]
    for source in ("Lesjak", "10.1007/s12021-017-9348-7", "CC-BY"):
        assert source in attribution
