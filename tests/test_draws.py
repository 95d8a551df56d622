"""Draws: numbers that depend on seed, epoch, row and name alone."""

import numpy as np

from sightline.draws import between, permutation, single, uniform

ROWS = np.arange(50_000)


def test_a_row_draws_the_same_number_in_whatever_company_it_is_asked():
    alone = uniform(7, 3, np.array([41]), "angle")
    assert uniform(7, 3, ROWS, "angle")[41] == alone[0]
    assert uniform(7, 3, ROWS[::-1].copy(), "angle")[-42] == alone[0]


def test_one_row_alone_draws_what_arrays_give():
    for seed, epoch, row in ((0, 0, 0), (7, 3, 41), (-5, -1, -1), (2**40, 7, 2**62), (1, 1, 12_345)):
        assert single(seed, epoch, row, "angle") == uniform(seed, epoch, np.array([row]), "angle")[0]
        assert single(seed, epoch, np.int64(row), "angle") == single(seed, epoch, row, "angle")


def test_seed_epoch_row_and_name_each_change_the_numbers():
    base = uniform(1, 0, ROWS, "a")
    for other in (uniform(2, 0, ROWS, "a"), uniform(1, 1, ROWS, "a"), uniform(1, 0, ROWS, "b"), uniform(1, 0, ROWS + 1, "a")):
        assert not np.any(base == other)
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.02


def test_numbers_are_uniform():
    u = uniform(0, 0, ROWS, "u", (2,))
    assert u.shape == (50_000, 2)
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, bins=50, range=(0, 1))[0]
    # Chi-squared with 49 degrees of freedom stays below 85 in 99.9% of fair draws.
    assert ((counts - 2000) ** 2 / 2000).sum() < 85


def test_permutation_holds_every_row_once_and_changes_with_the_epoch():
    first, second = permutation(5, 0, 1000), permutation(5, 1, 1000)
    assert sorted(first) == list(range(1000))
    assert (first != second).mean() > 0.9


def test_between_stretches():
    assert between(np.array([0.0, 0.5]), -10, 10).tolist() == [-10, 0]
