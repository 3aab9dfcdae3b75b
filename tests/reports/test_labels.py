"""Labels: as few values as tell settings apart."""

from records import record, summary

from fae.reports.labels import grouped, labels, others
from fae.reports.settings import group


def test_the_optimizer_suffices_where_rates_differ_as_well() -> None:
    runs = [
        record(64, 0, 0.04, optimizer__name="sgd", lr=0.5, dropout=0.1),
        record(64, 0, 0.02, optimizer__name="adam", lr=0.0012345678, dropout=0.0),
        record(128, 0, 0.01, optimizer__name="adam", lr=0.002, dropout=0.0),
    ]
    settings = group(runs)
    assert list(labels(settings).values()) == [
        "n = 64 optimizer=sgd",
        "n = 64 optimizer=adam",
        "n = 128 optimizer=adam",
    ]
    assert list(labels(settings)) == [setting.title for setting in settings]
    rows = grouped(summary(*runs).rows)
    assert {name: [row.hidden for row in same] for name, same in rows.items()} == {
        "optimizer=sgd": [64],
        "optimizer=adam": [64, 128],
    }


def test_more_values_are_named_where_one_is_not_enough() -> None:
    runs = [
        record(64, 0, 0.04, lr=lr, dropout=dropout)
        for lr in (0.5, 0.00123456)
        for dropout in (0.0, 0.1)
    ]
    assert [*others(group(runs)).values()] == [
        "lr=0.5 dropout=0",
        "lr=0.5 dropout=0.1",
        "lr=0.001235 dropout=0",
        "lr=0.001235 dropout=0.1",
    ]


def test_values_that_look_alike_are_told_apart_by_others() -> None:
    runs = [record(64, 0, 0.04, lr=lr, batch_size=b) for lr, b in ((0.10000001, 1), (0.1, 2))]
    assert [*others(group(runs)).values()] == ["batch_size=1", "batch_size=2"]


def test_n_alone_suffices_where_nothing_else_differs() -> None:
    assert [*labels(group([record(64, 0, 0.04), record(8, 0, 0.1)])).values()] == [
        "n = 8",
        "n = 64",
    ]
