from __future__ import annotations

from collections import Counter

from common.phantom.benchmark_sites import LESION_FREE_EVERY, LOADS_ML, benchmark_sites


def test_six_sites_train_one_validates_and_two_are_unseen() -> None:
    sites = benchmark_sites(0)
    assert Counter(site.role for site in sites) == {"training": 6, "validation": 1, "unseen": 2}
    assert len({site.site.name for site in sites}) == 9


def test_the_same_seed_gives_the_same_sites_and_another_seed_others() -> None:
    assert benchmark_sites(3) == benchmark_sites(3)
    assert benchmark_sites(3) != benchmark_sites(4)


def test_unseen_sites_lie_outside_what_the_others_span() -> None:
    for seed in range(5):
        *others, thick, noisy = benchmark_sites(seed)
        flairs = [site.site.scanner.flair for site in others]
        assert thick.site.scanner.flair.slice_mm > max(f.slice_mm for f in flairs)
        assert thick.site.scanner.flair.bias_field > 2 * max(f.bias_field for f in flairs)
        unlike = noisy.site.scanner.flair
        assert unlike.noise >= 3 * max(f.noise for f in flairs)
        assert unlike.gamma > max(f.gamma for f in flairs)
        brighter = [f.contrast.cortex / f.contrast.white for f in flairs]
        assert unlike.contrast.cortex / unlike.contrast.white > max(brighter)
        assert noisy.loads_ml[0] >= max(site.loads_ml[1] for site in others)


def test_sagittal_flairs_are_thin_and_others_reach_three_millimetres() -> None:
    flairs = [site.site.scanner.flair for seed in range(5) for site in benchmark_sites(seed)]
    sagittal = [f.slice_mm for f in flairs if f.slice_axis == 0]
    assert sagittal
    assert max(sagittal) <= 1.2
    assert max(f.slice_mm for f in flairs if f.slice_axis == 2) > 3.0


def test_loads_reach_from_half_a_millilitre_to_eighty() -> None:
    assert min(low for low, _ in LOADS_ML.values()) == 0.5
    assert max(high for _, high in LOADS_ML.values()) == 80.0


def test_every_fourth_subject_is_lesion_free_and_the_others_keep_to_the_sites_loads() -> None:
    for site in benchmark_sites(1):
        patients = site.patients(8, seed=1)
        free = [n for n, habit in enumerate(patients, start=1) if habit is None]
        assert free == [LESION_FREE_EVERY, 2 * LESION_FREE_EVERY]
        low, high = site.loads_ml
        for habit in patients:
            if habit is not None:
                assert low <= habit.load_ml <= high
                # a load to be met, not the median of a distribution
                assert habit.spread == 0.0


def test_confluent_part_grows_with_the_load() -> None:
    heavy = benchmark_sites(0)[-1]
    light = benchmark_sites(0)[0]
    # 45 mL or more: (45 - 10) / 40 is above the bound of 0.7; 8 mL or less: none
    assert {h.confluent for h in heavy.patients(6, seed=0) if h} == {0.7}
    assert {h.confluent for h in light.patients(6, seed=0) if h} == {0.0}
