"""Metrics, in the text that Prometheus reads."""

from collections.abc import Iterator

import pytest
from prometheus_client.metrics_core import Metric

from slipway_service.meters import Exposition, Families, Histogram, buckets

_families = Families("shop_")


class Shop(Exposition):
    """What a shop counts."""

    def __init__(self) -> None:
        super().__init__()
        self.sold = {("red", "8"): 2.0}
        self.seconds = Histogram((0.5, 1.0))

    def collect(self) -> Iterator[Metric]:
        yield _families.counter("sold", "Hats sold", ("colour", "size"), self.sold.items())
        yield _families.gauge("waiting", "Customers", (), [((), 3)])
        yield _families.histogram("seconds", "Time of a customer", self.seconds)


def test_families_are_made_when_somebody_asks() -> None:
    shop = Shop()
    shop.sold["blue", "7"] = 1.0
    for value in (0.25, 0.5, 0.75, 4.0):
        shop.seconds.add(value)

    own = [line for line in shop.text().decode().splitlines() if "shop_" in line]

    assert own == [
        "# HELP shop_sold_total Hats sold",
        "# TYPE shop_sold_total counter",
        'shop_sold_total{colour="red",size="8"} 2.0',
        'shop_sold_total{colour="blue",size="7"} 1.0',
        "# HELP shop_waiting Customers",
        "# TYPE shop_waiting gauge",
        "shop_waiting 3.0",
        "# HELP shop_seconds Time of a customer",
        "# TYPE shop_seconds histogram",
        'shop_seconds_bucket{le="0.5"} 2.0',
        'shop_seconds_bucket{le="1.0"} 3.0',
        'shop_seconds_bucket{le="+Inf"} 4.0',
        "shop_seconds_count 4.0",
        "shop_seconds_sum 5.5",
    ]


def test_the_process_is_told_too() -> None:
    assert b"\nprocess_resident_memory_bytes " in Shop().text()


def test_two_expositions_of_a_process_do_not_meet() -> None:
    one, other = Shop(), Shop()
    one.sold["red", "8"] = 9.0
    assert b'shop_sold_total{colour="red",size="8"} 2.0' in other.text()


def test_buckets_hold_those_below_them() -> None:
    assert buckets((0.001, 2.0), [3, 0, 4]) == [("0.001", 3.0), ("2.0", 3.0), ("+Inf", 7.0)]


def test_counts_that_do_not_fit_the_bounds_are_no_histogram() -> None:
    with pytest.raises(ValueError, match="zip"):
        buckets((0.001, 2.0), [3, 0])
