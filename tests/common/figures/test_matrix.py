from __future__ import annotations

import itertools

import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Polygon, Rectangle

from common.figures.matrix import Matrix, MatrixRow
from tests.common.figures.drawn import assert_readable, assert_stands_alone, laid_out, texts


def matrix(*rows: MatrixRow, columns: tuple[str, ...] = ("north", "south")) -> Matrix:
    return Matrix(title="Leave one site out", metric="mean Dice", columns=columns, rows=rows)


ROWS = (
    MatrixRow(
        label="all but north", group="federated", values=(0.61, 0.7), own=frozenset({"south"})
    ),
    MatrixRow(label="north", group="local", values=(0.98, 0.4), own=frozenset({"north"})),
    MatrixRow(label="south", group="local", values=(None, 0.02), own=frozenset({"south"})),
)
MATRIX = matrix(*ROWS)


def cells(drawn: Matrix) -> list[Rectangle]:
    [axes] = laid_out(drawn).axes
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def grey(colour: object) -> float:
    """Lightness as a grey printer has it, 0 black to 1 white."""
    red, green, blue = to_rgb(colour)  # type: ignore[arg-type] # any colour of a patch
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_the_words_give_every_value_and_which_sites_were_in_training() -> None:
    assert MATRIX.in_words() == (
        "Leave one site out: mean Dice, rows trained on, columns tested on. "
        "federated, all but north: north 0.61, south (in training) 0.70. "
        "local, north: north (in training) 0.98, south 0.40. "
        "local, south: north undefined, south (in training) 0.02."
    )


def test_every_value_is_written_in_its_cell_and_each_group_named_once() -> None:
    found = texts(MATRIX)
    assert {"0.61", "0.70", "0.98", "0.40", "0.02"} <= set(found)
    assert (found.count("federated"), found.count("local")) == (1, 1)


def test_an_undefined_cell_is_hatched_and_has_no_number() -> None:
    assert [bool(cell.get_hatch()) for cell in cells(MATRIX)] == [False] * 4 + [True, False]
    assert len([text for text in texts(MATRIX) if text.startswith("0.")]) == 5


def test_cells_of_sites_in_training_have_a_corner() -> None:
    [axes] = laid_out(MATRIX).axes
    # lines: federated 0, its row 1, local 2, its rows 3 and 4
    corners = {tuple(p.get_xy()[0]) for p in axes.patches if isinstance(p, Polygon)}
    assert corners == {(0.5, 0.5), (-0.5, 2.5), (0.5, 3.5)}


def test_a_higher_value_is_darker_in_grey() -> None:
    values = tuple(index / 20 for index in range(21))
    row = MatrixRow(label="a", group="local", values=values)
    drawn = matrix(row, columns=tuple(f"c{index}" for index in range(21)))
    shades = [grey(cell.get_facecolor()) for cell in cells(drawn)]
    assert all(darker < lighter for lighter, darker in itertools.pairwise(shades))


def test_numbers_stand_out_from_their_cell_in_grey() -> None:
    values = tuple(index / 20 for index in range(21))
    drawn = matrix(
        MatrixRow(label="a", group="local", values=values),
        columns=tuple(f"c{index}" for index in range(21)),
    )
    [axes] = laid_out(drawn).axes
    numbers = [text for text in axes.texts if text.get_text() != "local"]
    for number, cell in zip(numbers, cells(drawn), strict=True):
        assert abs(grey(number.get_color()) - grey(cell.get_facecolor())) > 0.35


def test_without_a_value_the_matrix_is_empty_and_still_drawn() -> None:
    nothing = MatrixRow(label="a", group="local", values=(None, None))
    for drawn in (matrix(), matrix(nothing), matrix(columns=())):
        assert drawn.is_empty
        assert_stands_alone(drawn)
    assert not MATRIX.is_empty


def test_a_row_with_more_values_than_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="row 'a': 2 columns, 1 values"):
        matrix(MatrixRow(label="a", group="local", values=(0.5,)))


def test_an_own_site_that_is_no_column_is_refused() -> None:
    with pytest.raises(ValueError, match=r"row 'a': no column is called \['east'\]"):
        matrix(MatrixRow(label="a", group="local", values=(0.5, 0.5), own=frozenset({"east"})))


def test_a_range_without_width_is_refused() -> None:
    with pytest.raises(ValueError, match="want low below high"):
        Matrix(title="x", metric="Dice", columns=(), rows=(), value_range=(1.0, 1.0))


def crowded() -> Matrix:
    """Twenty sites with long names, four rows of them."""
    names = tuple(f"$hospital$ < of_a & very-very-long-name-{i}" for i in range(20))
    return matrix(
        *(
            MatrixRow(
                label=name,
                group="local" if index else "federated",
                values=tuple((index + column) / 40 for column in range(20)),
                own=frozenset({name}),
            )
            for index, name in enumerate(names[:4])
        ),
        columns=names,
    )


@pytest.mark.parametrize(
    "drawn",
    [
        pytest.param(MATRIX, id="two sites"),
        pytest.param(
            matrix(MatrixRow(label="a", group="local", values=(1.0,)), columns=("a",)),
            id="one cell",
        ),
        pytest.param(crowded(), id="twenty sites"),
    ],
)
def test_nothing_overlaps_or_leaves_the_figure(drawn: Matrix) -> None:
    assert_readable(drawn)


def test_the_drawing_stands_alone_and_is_the_same_every_time() -> None:
    assert_stands_alone(MATRIX)
