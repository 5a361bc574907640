import hypothesis
import pytest
from hypothesis import strategies

from slipway_operator.state import slots
from slipway_operator.state.slots import SLOTS, Allocation

STABLE = Allocation.whole("stable")
SHARES = strategies.lists(strategies.integers(0, SLOTS // 3), min_size=1, max_size=3)


@pytest.mark.parametrize(("data", "expected"), [(b"", 0x0), (b"a", 0x92685F5E), (b"abcd", 0x26873021)])
def test_the_hash_is_murmurhash2(data: bytes, expected: int) -> None:
    """The router's tests compare the whole with nginx's own split_clients."""
    assert slots.murmur2(data) == expected


def test_thresholds_are_those_of_split_clients() -> None:
    """Part p takes the hashes below (p + 1) · 0xffffffff // 10,000, and the last one takes what is left."""
    for part in (0, 1, 4_999, 9_998):
        threshold = (part + 1) * 0xFFFFFFFF // SLOTS
        assert slots._part(threshold - 1, SLOTS) == part
        assert slots._part(threshold, SLOTS) == part + 1
    assert slots._part(0xFFFFFFFF, SLOTS) == SLOTS - 1


@hypothesis.given(strategies.integers(0, 0xFFFFFFFF), strategies.sampled_from([slots.SLOTS, slots.BUCKETS]))
def test_parts_agree_with_their_definition(hashed: int, parts: int) -> None:
    found = slots._part(hashed, parts)
    assert found == parts - 1 or hashed < (found + 1) * 0xFFFFFFFF // parts
    assert found == 0 or hashed >= found * 0xFFFFFFFF // parts


def test_units_spread_evenly_and_buckets_say_nothing_about_slots() -> None:
    units = [f"user-{number}".encode() for number in range(20_000)]
    low = [unit for unit in units if slots.slot_of(unit, seed="shop/ranker") < 1_000]
    assert 1_850 < len(low) < 2_150
    buckets = [slots.bucket_of(unit, seed="shop/ranker") for unit in low]
    assert set(buckets) == set(range(slots.BUCKETS))
    assert max(buckets.count(bucket) for bucket in range(slots.BUCKETS)) < 70


def test_another_seed_splits_anew() -> None:
    units = [f"user-{number}".encode() for number in range(10_000)]
    both = [unit for unit in units if slots.slot_of(unit, seed="a") < 1_000 and slots.slot_of(unit, seed="b") < 1_000]
    assert 60 < len(both) < 140


def test_a_ramp_moves_only_what_it_must() -> None:
    one = STABLE.moved({"candidate": 100}, base="stable")
    ten = one.moved({"candidate": 1_000}, base="stable")
    assert (one.count("candidate"), ten.count("candidate"), ten.count("stable")) == (100, 1_000, 9_000)
    assert _slots(one, "candidate") <= _slots(ten, "candidate")
    assert ten.moved({"candidate": 100}, base="stable") == one
    assert ten.moved({}, base="stable") == STABLE


def test_a_ramp_of_two_arms_hands_nobody_from_one_to_the_other() -> None:
    """80/10/10 → 50/25/25: of contiguous ranges half of the treated would change sides."""
    small = STABLE.moved({"a": 1_000, "b": 1_000}, base="stable")
    large = small.moved({"a": 2_500, "b": 2_500}, base="stable")
    assert _slots(small, "a") <= _slots(large, "a")
    assert _slots(small, "b") <= _slots(large, "b")
    assert _changed(small, large) == 3_000


@hypothesis.given(SHARES, SHARES)
def test_every_move_is_the_least_and_goes_through_the_base(before: list[int], after: list[int]) -> None:
    first = STABLE.moved({f"arm-{number}": count for number, count in enumerate(before)}, base="stable")
    wanted = {f"arm-{number}": count for number, count in enumerate(after)}
    second = first.moved(wanted, base="stable")
    assert {arm: second.count(arm) for arm in wanted} == wanted
    assert second.count("stable") == SLOTS - sum(after)
    treatments = {*wanted, *(f"arm-{number}" for number in range(len(before)))}
    gained = sum(max(0, second.count(arm) - first.count(arm)) for arm in treatments)
    given = sum(max(0, first.count(arm) - second.count(arm)) for arm in treatments)
    # A slot that one arm gives back may be taken by another: that is somebody who met one and then the other, which no count can prevent,
    # but nothing else moves.
    assert _changed(first, second) <= gained + given
    assert second.moved(wanted, base="stable") == second


def test_one_rollout_after_another_falls_on_different_users() -> None:
    first = STABLE.moved({"ranker-0a1b2c3d": 1_000}, base="stable")
    second = STABLE.moved({"ranker-9f8e7d6c": 1_000}, base="stable")
    assert _slots(first, "ranker-0a1b2c3d") != _slots(second, "ranker-9f8e7d6c")


RAMPS = strategies.lists(strategies.integers(1, 90), min_size=1, max_size=4, unique=True).map(sorted)


@hypothesis.settings(max_examples=40)
@hypothesis.given(
    ramp=RAMPS, names=strategies.lists(strategies.from_regex(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,12}", fullmatch=True), min_size=1, max_size=5)
)
def test_on_a_ramp_slots_go_from_waiting_to_an_arm_and_nowhere_else(ramp: list[int], names: list[str]) -> None:
    arms = [f"{number}-{name}" for number, name in enumerate(names)]
    last = ramp[-1] * 100 // len(arms)
    before: list[str] | None = None
    for percent in ramp:
        share = percent * 100 // len(arms)
        found = Allocation.in_groups(control="control", waiting="waiting", arms=dict.fromkeys(arms, (share, last)))
        owners = list(found._owners())
        assert {arm: owners.count(arm) for arm in arms} == dict.fromkeys(arms, share)
        assert owners.count("control") == SLOTS - last * len(arms), "as many at the first step as at the last"
        assert owners.count("waiting") == (last - share) * len(arms)
        if before is not None:
            changed = {(one, other) for one, other in zip(before, owners, strict=True) if one != other}
            assert changed <= {("waiting", arm) for arm in arms}
        before = owners
    assert len(found.runs) <= 64, "what fits into a status"


def test_an_arm_that_is_out_leaves_its_slots_waiting_and_gets_the_same_ones_back() -> None:
    arms = {"a": (1_000, 2_500), "b": (1_000, 2_500)}
    whole = Allocation.in_groups(control="control", waiting="waiting", arms=arms)
    without = Allocation.in_groups(control="control", waiting="waiting", arms=arms | {"b": (0, 2_500)})
    assert {owner for owner, now in zip(whole._owners(), without._owners(), strict=True) if owner != now} == {"b"}
    assert {now for owner, now in zip(whole._owners(), without._owners(), strict=True) if owner != now} == {"waiting"}


@pytest.mark.parametrize("wanted", [{"stable": 1}, {"a": -1}, {"a": 6_000, "b": 6_000}])
def test_what_cannot_be_had_is_refused(wanted: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="10000 slots"):
        STABLE.moved(wanted, base="stable")


@pytest.mark.parametrize("runs", [((5, "a"),), ((0, "a"), (SLOTS, "b")), ((500, "a"), (400, "b"), (SLOTS, "c"))])
def test_runs_that_do_not_cover_all_slots_are_no_allocation(runs: tuple[tuple[int, str], ...]) -> None:
    with pytest.raises(ValueError, match="do not cover"):
        Allocation(runs)


def _slots(allocation: Allocation, owner: str) -> set[int]:
    return {slot for slot in range(SLOTS) if allocation.owner(slot) == owner}


def _changed(first: Allocation, second: Allocation) -> int:
    return sum(1 for one, other in zip(first._owners(), second._owners(), strict=True) if one != other)
