"""The soak's judgement on growth, by hand."""

from __future__ import annotations

import pytest

from benchmarks.soak import Line, growth, show_growth


def lines(memory: list[float], *, process: int = 1) -> list[Line]:
    return [
        Line(
            process=process,
            round=50 * number,
            wall_s=20.0 * number,
            rss_mib=rss_mib,
            n_open=6,
            run_mib=0.5 * number,
            sites_mib=3.0,
        )
        for number, rss_mib in enumerate(memory, start=1)
    ]


def test_growth_compares_the_last_quarter_with_the_second() -> None:
    """(120 + 130) / (100 + 100) - 1; the first quarter, where all is loaded, does not count."""
    assert growth([10, 20, 100, 100, 500, 500, 120, 130]) == pytest.approx(0.25)


def test_memory_that_grows_by_more_than_5_percent_ends_with_1() -> None:
    assert show_growth(lines([100.0] * 6 + [105.2, 105.2])) == 1


def test_memory_that_grows_by_less_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_growth(lines([50.0, 70.0, *[100.0] * 4, 104.8, 104.8])) == 0
    assert capsys.readouterr().out == (
        "process 1, rounds 50 to 400: memory +4.8% (105 MiB), descriptors +0.0% (6), "
        "run folder +10.24 KiB a round\n"  # 0.5 MiB in 50 rounds: 512 / 50 KiB
    )


def test_each_process_is_judged_by_itself() -> None:
    """A process that continues where another was cut off begins with less memory."""
    assert show_growth([*lines([400.0] * 8), *lines([100.0] * 8, process=2)]) == 0


def test_a_short_soak_says_nothing_of_growth() -> None:
    assert show_growth(lines([100.0] * 7)) == 2
