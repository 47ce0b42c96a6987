"""Valid content spoilt in ways drawn from a seed: its bytes, its values as JSON, its text."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

DEEP = "@deep@"
DIGITS = "@digits@"
"""Stand in a JSON value for what its writer could not write, and are put into the text."""

DEPTHS = (60, 900, 5_000, 100_000)
LENGTHS = (40, 1_000, 20_000, 300_000)
"""Of texts and of dotted keys: what takes the square of it shows at the last."""

PLAIN: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 255, 2**31, -(2**31), 2**53 + 1, 2**63, 2**64, -(2**63)),
    *(10**19, 10**400, 0.5, -0.0, 1e-320, 1e38, 3.5e38, 1e308, float("nan"), float("inf")),
    *(float("-inf"), [], {}, [[]], [{}], {"": None}, [0, 2**31, 2**31], [2**31, 2**31, 0]),
    *([-1, -1], [1e9, 1e9], "", " ", "none", "0", "-1", "1e999", "nan", "9" * 30, "x" * 5_000),
    *("../../../etc/passwd", "/etc/passwd", ".", "a/b", "\x00", "a\nb", "\r", "\t", "\x1b[2J"),
    *(
        "\x1b]0;title\x07",
        "\x9b31m",
        "\u202e",
        "\u2028",
        "\ud800",
        "\ufeff",
        "é",
        "\U0001d7d8",
        "²",
    ),
    *("=1+1", "@SUM(A1)", "-1+1", "+1", "2026-13-45", "2026-03-01T12:00:00+00:00", DEEP, DIGITS),
)

TOML = (
    *("[", "]", "{", "}", "=", ".", ",", '"', "'", '"""', "'''", "\\", "#", "\n", "\r", "\x00"),
    *(
        "\ufeff",
        "\x1b",
        "[[a]]\n",
        "[a]\n",
        "a=1\na=1\n",
        "a={",
        "inf",
        "-nan",
        "1_000",
        "0x",
        "0b",
    ),
    *(
        "1979-05-27T07:32:00Z",
        "1979-99-99",
        "24:61:61",
        "1e400",
        "\\u0000",
        "\\ud800",
        "\\U00110000",
    ),
)


def mutated(content: bytes, rng: Random) -> bytes:
    """The bytes with one to four places changed, removed, doubled or put in."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        length = rng.choice((1, 1, 2, 4, 8, 64))
        match rng.randrange(7):
            case 0:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = rng.randbytes(length)
            case 3:
                changed[at : at + length] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * length
            case 4:
                changed[at:at] = changed[max(0, at - length) : at] * rng.choice((1, 3, 50))
            case 5:
                del changed[at:]
            case _:
                other = rng.randrange(len(changed) + 1)
                changed[at : at + length] = changed[other : other + length]
    return bytes(changed)


def mutated_json(value: Any, rng: Random) -> bytes:
    """The value as JSON, with one to three of its parts changed, removed, renamed or doubled."""
    changed = json.loads(json.dumps(value))
    for _ in range(rng.randint(1, 3)):
        changed = _changed(changed, rng)
    text = json.dumps(changed, ensure_ascii=rng.random() < 0.8)
    depth = rng.choice(DEPTHS)
    deep = rng.choice(("[" * depth + "]" * depth, "[" * depth, '{"a":' * depth + "1" + "}" * depth))
    text = text.replace(f'"{DEEP}"', deep).replace(f'"{DIGITS}"', "1" * rng.choice(LENGTHS[:3]))
    return text.encode("utf-8", errors="surrogatepass")


def mutated_toml(text: str, rng: Random) -> bytes:
    """The text with a line moved, a value exchanged, a token or something long or deep put in."""
    changed = text
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(changed) + 1)
        lines = changed.split("\n")
        which = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                changed = changed[:at] + rng.choice(TOML) * rng.choice((1, 1, 3)) + changed[at:]
            case 1:
                lines.insert(rng.randrange(len(lines) + 1), lines[which])
                changed = "\n".join(lines)
            case 2:
                del lines[which]
                changed = "\n".join(lines)
            case 3 | 4 if "=" in lines[which]:
                key = lines[which].partition("=")[0]
                lines[which] = f"{key}= {_toml_value(rng)}"
                changed = "\n".join(lines)
            case _:
                lines.insert(rng.randrange(len(lines) + 1), _long_line(rng))
                changed = "\n".join(lines)
    content = changed.encode("utf-8", errors="surrogatepass")
    return mutated(content, rng) if rng.random() < 0.1 else content


def mutated_text(text: str, rng: Random) -> bytes:
    """A table with a cell exchanged, a line doubled or removed; sometimes its bytes instead."""
    if rng.random() < 0.3:
        return mutated(text.encode(), rng)
    lines = text.split("\n")
    for _ in range(rng.randint(1, 3)):
        which = rng.randrange(len(lines))
        tab = "\t" if "\t" in text else ","
        cells = lines[which].split(tab)
        match rng.randrange(4):
            case 0 | 1:
                cells[rng.randrange(len(cells))] = _cell(rng)
                lines[which] = tab.join(cells)
            case 2:
                lines.insert(which, lines[which])
            case _:
                lines[which] = tab.join(cells[:-1]) if rng.random() < 0.5 else ""
    return "\n".join(lines).encode("utf-8", errors="surrogatepass")


def one_of(*ways: Callable[[Random], bytes]) -> Callable[[Random], bytes]:
    """Draws with one of the ways, by the seed."""
    return lambda rng: rng.choice(ways)(rng)


def _changed(value: Any, rng: Random) -> Any:
    """The value with one part changed, found by a walk from its top."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        match rng.randrange(8):
            case 0:
                return {inner: content for inner, content in value.items() if inner != key}
            case 1:
                return {**value, str(rng.choice(PLAIN)): value[key]}
            case _:
                return {**value, key: _changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        match rng.randrange(6):
            case 0:
                return [*value[:at], *value[at + 1 :]]
            case 1:
                return [*value, value[at]]
            case _:
                return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
    if isinstance(value, str) and rng.random() < 0.3:
        return mutated(value.encode(errors="replace"), rng).decode("utf-8", errors="replace")
    return rng.choice(PLAIN)


def _toml_value(rng: Random) -> str:
    match rng.randrange(5):
        case 0:
            return rng.choice(TOML)
        case 1:
            depth = rng.choice(DEPTHS)
            return "[" * depth + "]" * depth
        case 2:
            return "1" * rng.choice(LENGTHS)
        case 3:
            depth = rng.choice(DEPTHS)
            return "{a=" * depth + "1" + "}" * depth
        case _:
            return json.dumps(rng.choice(PLAIN)).replace("null", "{}").replace("NaN", "nan")


def _long_line(rng: Random) -> str:
    n = rng.choice(LENGTHS)
    return rng.choice(
        (
            "a." * n + "b = 1",
            "[" + "a." * n + "b]",
            "[[" + "a." * n + "b]]",
            "x = {" + "a." * n + "b = 1}",
            "x = [" + "1," * n + "]",
            '"' + "k" * n + '" = 1',
            "#" + "c" * n,
            "\n".join(f"k{i} = {i}" for i in range(min(n, 3_000))),
            "\n".join(f"[t{i}.{'b.' * 20}c]" for i in range(min(n, 200))),
        )
    )


def _cell(rng: Random) -> str:
    value = rng.choice(PLAIN)
    if value in (DEEP, DIGITS):
        return "1" * rng.choice(LENGTHS)
    return value if isinstance(value, str) else str(value)[:4000] if value != 10**400 else "1e400"
