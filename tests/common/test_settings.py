from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from common.errors import ConfigError
from common.settings import Settings, read_toml, with_overrides, with_value


class Scanner(Settings):
    field_strength_t: float
    vendor: str = "unknown"


class Hospital(Settings):
    name: str
    scanner: Scanner


class Coil(Settings):
    name: Literal["coil"]
    n_elements: int
    cooling: Scanner | None = None


class Dish(Settings):
    name: Literal["dish"]
    diameter_mm: float


Antenna = Annotated[Coil | Dish, Field(discriminator="name")]


class Room(Settings):
    antenna: Antenna
    spare: Antenna | None = None
    reserve: Scanner | None = None


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        pytest.param(
            {"antenna": {"name": "coil", "n_element": 8}},
            "  antenna.n_element: unknown key; did you mean 'n_elements'?",
            id="a key of the class that the name chose",
        ),
        pytest.param(
            {"antenna": {"name": "dish", "diameter_mm": 3.0, "n_elements": 8}},
            "  antenna.n_elements: unknown key; valid keys: diameter_mm, name",
            id="a key of the other class",
        ),
        pytest.param(
            {"antenna": {"name": "dish"}}, "  antenna.diameter_mm: missing; add it", id="missing"
        ),
        pytest.param(
            {"antenna": {"name": "disc", "diameter_mm": 3.0}},
            "  antenna.name: want one of 'coil', 'dish', got 'disc'",
            id="a name that is none",
        ),
        pytest.param(
            {"antenna": {"diameter_mm": 3.0}}, "  antenna.name: missing; add it", id="no name"
        ),
        pytest.param(
            {"antenna": {"name": "dish", "diameter_mm": "wide"}},
            "  antenna.diameter_mm: Input should be a valid number, ",
            id="a value of another kind",
        ),
        pytest.param(
            {"antenna": {"name": "dish", "diameter_mm": 3.0}, "spare": {"name": "coil"}},
            "  spare.n_elements: missing; add it",
            id="in a section that may be left out",
        ),
        pytest.param(
            {
                "antenna": {"name": "coil", "n_elements": 8, "cooling": {"field_strenght_t": 3.0}},
            },
            "  antenna.cooling.field_strenght_t: unknown key; did you mean 'field_strength_t'?",
            id="a section within a section",
        ),
        pytest.param(
            {
                "antenna": {"name": "dish", "diameter_mm": 3.0},
                "reserve": {"field_strength_t": 3.0, "vender": "x"},
            },
            "  reserve.vender: unknown key; did you mean 'vendor'?",
            id="the only class of a section that may be left out",
        ),
        pytest.param({"antenna": "coil"}, "  antenna: Input should be a valid dict", id="no table"),
    ],
)
def test_a_section_that_is_one_of_several_is_named_as_the_file_has_it(
    table: dict[str, object], fault: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(fault)):
        Room.from_table(table, where="room.toml")


def test_an_unknown_key_is_refused_with_the_nearest_valid_one() -> None:
    table = {"name": "lyon", "scanner": {"field_strenght_t": 3.0}}
    with pytest.raises(ConfigError, match=r"scanner.field_strenght_t: unknown key; did you mean"):
        Hospital.from_table(table, where="hospital.toml")


def test_all_faults_are_reported_at_once_and_name_the_file() -> None:
    with pytest.raises(ConfigError) as caught:
        Hospital.from_table({"scanner": {"field_strength_t": "three"}}, where="hospital.toml")
    text = str(caught.value)
    assert text.startswith("hospital.toml:")
    assert "name: missing" in text
    assert "scanner.field_strength_t:" in text
    assert "'three'" in text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="field_strength_t"):
        Scanner.from_table({"field_strength_t": value}, where="scanner.toml")


def test_canonical_json_spells_out_defaults_in_sorted_order() -> None:
    hospital = Hospital(name="lyon", scanner=Scanner(field_strength_t=3))
    expected = '{"name":"lyon","scanner":{"field_strength_t":3.0,"vendor":"unknown"}}'
    assert hospital.canonical_json() == expected
    assert hospital.sha256() == hashlib.sha256(expected.encode()).hexdigest()


def test_an_override_reaches_a_nested_value_and_leaves_the_original_alone() -> None:
    table = {"scanner": {"field_strength_t": 1.5}, "name": "lyon"}
    changed = with_overrides(table, ["scanner.field_strength_t=3.0", "name=ghent"])
    assert changed == {"scanner": {"field_strength_t": 3.0}, "name": "ghent"}
    assert table == {"scanner": {"field_strength_t": 1.5}, "name": "lyon"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("a=[1, 2]", [1, 2], id="a list"),
        pytest.param("a=true", True, id="a truth"),
        pytest.param("a=1e-3", 0.001, id="a small number"),
        pytest.param("a=two words", "two words", id="plain text"),
        pytest.param("a=x=y", "x=y", id="an equals sign inside"),
    ],
)
def test_an_override_is_read_as_toml_or_else_as_text(text: str, value: object) -> None:
    assert with_overrides({}, [text]) == {"a": value}


@pytest.mark.parametrize("text", ["a", "=3", "a..b=3", ".a=3"])
def test_an_override_without_a_key_and_a_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="want KEY=VALUE"):
        with_overrides({}, [text])


def test_a_value_is_not_taken_for_a_table() -> None:
    with pytest.raises(ConfigError, match="'name' is a value"):
        with_value({"name": "lyon"}, "name.first", "L")


def test_a_file_that_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "hospital.toml"
    path.write_text("name = 'lyon'\nscanner = \n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"hospital.toml: not readable as TOML.*line 2"):
        read_toml(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.toml: no such file"):
        read_toml(tmp_path / "absent.toml")


class Named(Settings):
    name: Annotated[str, Field(pattern=r"^[a-z]+$")]


class Listed(Settings):
    sites: Annotated[tuple[Named, ...], Field(min_length=1)]


def test_a_list_is_not_said_to_be_empty_because_its_only_member_is_faulty() -> None:
    with pytest.raises(ConfigError, match=r"sites\.0\.name") as refused:
        Listed.from_table({"sites": [{"name": "Hôpital"}]}, where="federation.toml")
    assert len(str(refused.value).splitlines()) == 2  # the file, and the one fault
    with pytest.raises(ConfigError, match="at least 1 item"):
        Listed.from_table({"sites": []}, where="federation.toml")


def test_settings_from_windows_own_editor_are_read_with_or_without_their_mark(
    tmp_path: Path,
) -> None:
    file = tmp_path / "site.toml"
    file.write_bytes('name = "ä"\n'.encode("utf-8-sig"))
    assert read_toml(file) == {"name": "ä"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_settings_in_utf_16_are_named_as_that(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "site.toml"
    mark = "" if encoding == "utf-16" else "\ufeff"
    file.write_bytes(f'{mark}name = "a"\n'.encode(encoding))
    with pytest.raises(ConfigError, match="want text in UTF-8, found UTF-16"):
        read_toml(file)


DEEP = 100_000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("a." * 65 + "b = 1", "line 1: want at most 64 dots, found more", id="a key"),
        pytest.param("\n[" + "a." * 65 + "b]", "line 2: want at most 64 dots", id="a table"),
        pytest.param("x = {" + "a . " * 65 + "b = 1}", "want at most 64 dots", id="in a value"),
        pytest.param("a." * DEEP + "b = 1", "want at most 64 dots", id="12 s as it was"),
        pytest.param("#" * 300_000, "want at most 262144 bytes, found more", id="long"),
        pytest.param("a = " + "[" * DEEP, "nested too deeply", id="lists"),
        pytest.param("a = " + "{a=" * 50_000, "nested too deeply", id="tables"),
        pytest.param("a = " + "1" * 5000, "not readable as TOML", id="digits"),
    ],
)
def test_a_text_that_keeps_the_parser_busy_is_refused_at_once(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    began = time.monotonic()
    with pytest.raises(ConfigError, match=told):
        read_toml(path)
    assert time.monotonic() - began < 2


def test_a_key_of_64_dots_and_a_row_of_dots_are_read(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text("# " + "." * 200 + "\r\n" + "a." * 64 + "b = 1\r", encoding="utf-8")
    assert list(read_toml(path)) == ["a"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("limits = 0x" + "f" * 9000, "64 bits at most, found one of 36000", id="hex"),
        pytest.param("limits = -9223372036854775809", "64 bits at most", id="one too low"),
        pytest.param(
            "limits = " + ("[\n{" + ".".join("a" * 60) + " = ") * 20 + "1" + "}\n]" * 20,
            "nested 150 deep at most",
            id="keys with dots in lists, which repr cannot write",
        ),
    ],
)
def test_values_that_python_cannot_write_are_refused_when_they_are_read(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        Settings.from_table(read_toml(path), where="site.toml")


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(ConfigError, match="got 'xxx") as caught:
        Scanner.from_table({"vendor": "y", "field_strength_t": "x" * 200_000}, where="recipe.toml")
    assert len(str(caught.value)) < 500
