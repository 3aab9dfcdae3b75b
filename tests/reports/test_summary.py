"""The numbers of a report, on runs that are made by hand."""

import pytest
from records import record, stored, summary

from fae.runtime.intervals import estimate, paired
from fae.tracking.stored_run import StoredRun

SEEDS = [0.0410, 0.0423, 0.0417]


def test_a_row_is_a_setting_over_its_seeds() -> None:
    found = summary(*(record(64, seed, error) for seed, error in enumerate(SEEDS)))
    (row,) = found.rows
    assert row.title == "n = 64"
    assert row.test == estimate(SEEDS)
    assert (row.train, row.val) == pytest.approx((0.04, 0.0404))
    assert (row.published, row.published_s) == (0.0414, 417.2)
    assert row.difference == pytest.approx(sum(SEEDS) / 3 / 0.0414 - 1)
    assert row.parameters == 640
    assert row.pca == 0.1 * 0.5**64
    assert found.mean_image == 0.1
    assert [run.seed for run in row.runs] == [0, 1, 2]
    assert row.curves == (
        "3 of 3: still falling at the last epoch (median -33.1 % per epoch); "
        "3 of 3: dead hidden units"
    )


def test_with_early_stopping_the_best_epoch_is_shown() -> None:
    curve = [(0.5, 0.5), (0.1, 0.2), (0.3, 0.4)]
    (row,) = summary(record(64, 0, 0.2, curve=curve, early_stopping=2)).rows
    assert (row.train, row.val) == (0.1, 0.2)


@pytest.mark.parametrize(
    ("errors", "tolerance", "verdict"),
    [
        ([0.0413, 0.0414, 0.0415], 0.03, "reproduced"),
        ([0.0413, 0.0414, 0.0415], 0.001, "not enough seeds"),
        ([0.0300, 0.0301, 0.0302], 0.03, "better"),
        ([0.0500, 0.0501, 0.0502], 0.03, "worse"),
        ([0.0414], 0.03, "not enough seeds"),
    ],
)
def test_verdicts(errors: list[float], tolerance: float, verdict: str) -> None:
    records = [record(64, seed, error) for seed, error in enumerate(errors)]
    assert summary(*records, tolerance=tolerance).rows[0].verdict == verdict


def test_what_the_paper_did_not_measure_has_no_verdict() -> None:
    for other in (record(32, 0, 0.1), record(64, 0, 0.1, data="synthetic")):
        (row,) = summary(other).rows
        assert (row.published, row.difference, row.verdict, row.published_s) == (None,) * 4


def test_times_are_medians_with_quartiles() -> None:
    runs = [record(64, seed, 0.04, fit_s=s) for seed, s in enumerate([9.0, 3.0, 6.0])]
    times = summary(*runs).rows[0].times
    assert (times.low, times.median, times.high, times.n) == (4.5, 6.0, 7.5, 3)
    assert times.per_epoch == 2.0
    assert times.remark is None


def spans(*spans: tuple[int, int | None], host: str = "here") -> list[StoredRun]:
    return [stored(f"{host} {i}", started=a, ended=b, host=host) for i, (a, b) in enumerate(spans)]


def test_a_run_that_overlapped_with_another_has_no_time_to_compare() -> None:
    concurrent = spans((0, 10), (10, 20), (19, 30))
    records = [record(64, i, 0.04, fit_s=10.0**i, run=run) for i, run in enumerate(concurrent)]
    times = summary(*records, concurrent_runs=concurrent).rows[0].times
    assert (times.median, times.n, times.remark) == (1.0, 1, None)
    others = summary(*records[1:], concurrent_runs=concurrent).rows[0].times
    assert (others.n, others.remark) == (2, "overlapped with other runs")


def test_a_long_run_overlaps_with_all_that_begin_during_it() -> None:
    concurrent = spans((0, 100), (10, 20), (30, 40))
    records = [record(64, i, 0.04, run=run) for i, run in enumerate(concurrent)]
    assert (
        summary(*records[2:], concurrent_runs=concurrent).rows[0].times.remark
        == "overlapped with other runs"
    )


def test_runs_on_other_hosts_do_not_overlap_and_one_that_still_runs_does() -> None:
    before, ours, still = spans((0, 40), (50, 60), (45, None))
    there = spans((55, 58), (0, None), host="there")

    def remark(run: StoredRun, *beside: StoredRun) -> str | None:
        return (
            summary(record(64, 0, 0.04, run=run), concurrent_runs=[run, *beside])
            .rows[0]
            .times.remark
        )

    assert remark(ours, before, *there) is None
    assert remark(ours, before, still) == "overlapped with other runs"
    assert remark(before, ours, still) is None


def test_times_on_the_rarer_hardware_are_marked() -> None:
    runs = [record(n, s, 0.04, run=stored(f"{n}{s}")) for n in (64, 128) for s in (0, 1)]
    other = record(256, 0, 0.03, run=stored("other", device="a GPU"))
    rows = summary(*runs, other).rows
    assert [row.times.remark for row in rows] == [None, None, "other hardware"]


def test_a_profiled_run_has_no_time_to_compare() -> None:
    slow = record(64, 1, 0.04, fit_s=99.0, profiler="simple")
    times = summary(record(64, 0, 0.04, fit_s=1.0), slow).rows[0].times
    assert (times.median, times.n) == (1.0, 1)
    assert summary(slow).rows[0].times.remark == "slowed by trainer.profiler"


def answers(*seconds: list[float]) -> list[tuple[bool | None, str]]:
    """What is said of networks of 64, 128, ... units that took so long."""
    runs = [
        record(64 * 2**i, seed, 0.04, fit_s=s)
        for i, times in enumerate(seconds)
        for seed, s in enumerate(times)
    ]
    return [
        (claim.holds, claim.sentence) for claim in summary(*runs).claims if "time" in claim.question
    ]


def test_time_grows_with_n() -> None:
    ((holds, sentence),) = answers([1.0, 1.1, 1.2], [2.0, 2.1, 2.2])
    assert holds is True
    assert sentence == "yes: medians 1.1, 2.1 s for n = 64, 128; no two quartile ranges overlap"


def test_up_to_six_times_are_named_and_of_more_the_ends() -> None:
    ((_, six),) = answers(*([float(s)] * 3 for s in range(1, 7)))
    assert "medians 1, 2, 3, 4, 5, 6 s for n = 64, 128, 256, 512, 1024, 2048;" in six
    ((_, seven),) = answers(*([float(s)] * 3 for s in range(1, 8)))
    assert "medians 1, 7 s for n = 64, 4096;" in seven


def test_time_may_grow_as_far_as_can_be_told() -> None:
    ((few, sentence),) = answers([1.0], [2.0])
    assert few is None
    assert sentence == "cannot be told from fewer than 3 runs each: medians 1, 2 s for n = 64, 128"
    assert answers([2.0], [1.0])[0][0] is None
    ((overlap, sentence),) = answers([1.0, 1.1, 3.0], [1.2, 1.3, 1.4])
    assert overlap is None
    assert sentence.startswith("cannot be told, quartile ranges overlap: medians 1.1, 1.3 s")


def test_time_does_not_grow() -> None:
    ((holds, sentence),) = answers([2.0] * 3, [1.0] * 3)
    assert (holds, sentence) == (
        False,
        "no, not from each n to the next: medians 2, 1 s for n = 64, 128",
    )


def test_settings_are_named_by_as_few_values_as_tell_them_apart() -> None:
    found = summary(
        *(record(n, s, 0.04, optimizer__name="sgd", lr=0.5) for n in (64, 128) for s in (0, 1)),
        *(record(64, s, 0.02, optimizer__name="adam", lr=0.001) for s in (0, 1)),
    )
    assert {row.title.count("=") for row in found.rows} == {3}
    curves, time = found.claims
    assert time.question == "Does the training time grow with n for optimizer=sgd?"
    assert "of training (n = 64 optimizer=sgd; more" in curves.sentence
    assert {c.first for c in found.comparisons} == {"n = 64 optimizer=sgd"}


def test_one_size_or_overlapping_runs_answer_nothing() -> None:
    assert answers([1.0, 1.0]) == []
    concurrent = spans((0, 10), (5, 20))
    runs = [record(64 * (i + 1), 0, 0.04, run=run) for i, run in enumerate(concurrent)]
    (claim,) = [
        c for c in summary(*runs, concurrent_runs=concurrent).claims if "time" in c.question
    ]
    assert (claim.holds, claim.sentence) == (
        None,
        "cannot be told: some overlapped with other runs",
    )


def test_curves_are_almost_identical_up_to_5_percent() -> None:
    close, wide = [(1.0, 1.04), (0.5, 0.5)], [(1.0, 1.06), (0.5, 0.5)]
    claim = summary(record(64, 0, 0.04, curve=close)).claims[0]
    assert claim.holds is True
    assert "after every epoch of the run validation lies within 4.0 % of training" in claim.sentence
    claim = summary(record(64, 0, 0.04, curve=close), record(128, 0, 0.04, curve=wide)).claims[0]
    assert claim.holds is False
    assert claim.sentence.endswith("by more than 5 % for n = 128")


def test_settings_that_share_seeds_are_compared_seed_by_seed() -> None:
    sgd = [0.040, 0.042, 0.041]
    adam = [0.020, 0.023, 0.020]
    found = summary(
        *(record(64, i, e, optimizer__name="sgd") for i, e in enumerate(sgd)),
        *(record(64, i, e, optimizer__name="adam") for i, e in enumerate(adam)),
        record(64, 9, 0.5, optimizer__name="sgd"),
    )
    (comparison,) = found.comparisons
    assert (comparison.first, comparison.second) == (
        "n = 64 optimizer=sgd",
        "n = 64 optimizer=adam",
    )
    assert comparison.difference == paired(sgd, adam)
    assert comparison.distinguishable
    half = paired(sgd, adam).half
    assert comparison.sentence == (
        "n = 64 optimizer=adam has a lower test error than n = 64 optimizer=sgd, by "
        f"0.0200 ± {half:.4f} (48.8 %): beyond seed noise"
    )


def test_a_difference_within_the_noise_is_not_claimed() -> None:
    found = summary(
        *(record(64, i, e, dropout=0.1) for i, e in enumerate([0.040, 0.042, 0.041])),
        *(record(64, i, e, dropout=0.2) for i, e in enumerate([0.041, 0.040, 0.043])),
    )
    (comparison,) = found.comparisons
    assert not comparison.distinguishable
    assert comparison.sentence.endswith("not distinguishable with 3 seeds")


def test_neighbours_in_n_are_compared_and_single_seeds_are_not() -> None:
    runs = [record(n, seed, 1 / n + seed / 1e5) for n in (64, 128, 256) for seed in (0, 1)]
    pairs = [(c.first, c.second) for c in summary(*runs).comparisons]
    assert pairs == [("n = 64", "n = 128"), ("n = 128", "n = 256")]
    assert summary(*runs[::2]).comparisons == []
