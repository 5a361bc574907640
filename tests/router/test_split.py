"""Which revision a unit is given: the definition in Python, nginx's own split_clients and the router agree."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from router.harness import Router, everything_from, split, table
from router.reference import bucket_of, slot_of
from slipway_router.nginx.configuration import DEBIAN_MODULES, LUA

UNITS = 100_000

CONFIGURATION = """
{modules}
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    lua_package_path "{lua}/?.lua;;";
    variables_hash_max_size 65536;
    {splits}
    server {{
        listen unix:{folder}/splits.sock;
        location / {{
            set $unit "";
            content_by_lua_block {{
                local hash = require "slipway.hash"
                local var = ngx.var
                for number = 1, {units} do
                    local unit = "user-" .. number
                    var.unit = unit
                    local slot = hash.part(hash.murmur2("shop/ranker:" .. unit), 10000)
                    local bucket = hash.part(hash.murmur2("bucket:shop/ranker:" .. unit), 64)
                    local before = slot > 0 and var["below_" .. slot] or "no"
                    local within = slot < 9999 and var["below_" .. slot + 1] or "yes"
                    ngx.say(slot, " ", before, " ", within, " ", bucket, " ", var.half)
                end
            }}
        }}
    }}
}}
"""


def test_a_hundred_thousand_units_as_split_clients_has_them(folder: Path) -> None:
    """At each of the 9,999 borders between slots, split_clients with a part below it and a part above says on which side a unit is.

    One split_clients of 10,000 parts of 0.01 % would not do: it rounds every part down before it adds them up, and so is off by up to 7,295 of 2^32.
    """
    splits = [f'split_clients "shop/ranker:$unit" $below_{slot} {{ {slot / 100:.2f}% yes; * no; }}' for slot in range(1, 10000)]
    splits.append('split_clients "bucket:shop/ranker:$unit" $half { 50% yes; * no; }')
    text = CONFIGURATION.format(
        modules="".join(f"load_module /usr/lib/nginx/modules/{name};" for name in DEBIAN_MODULES),
        folder=folder,
        lua=LUA,
        units=UNITS,
        splits="\n".join(splits),
    )
    (folder / "splits.conf").write_text(text)
    with (folder / "splits.log").open("wb") as said:
        nginx = subprocess.Popen(["nginx", "-e", "stderr", "-c", str(folder / "splits.conf")], stderr=said)
    try:
        rows = [line.split() for line in everything_from(folder / "splits.sock").decode().splitlines()]
    finally:
        nginx.terminate()
        nginx.wait()
    assert len(rows) == UNITS
    assert [row for row in rows if row[1:3] != ["no", "yes"]] == []
    assert [row for row in rows if (row[4] == "yes") != (int(row[3]) < 32)] == []
    assert [row[0] for row in rows] == [str(slot_of("shop/ranker", f"user-{number}".encode())) for number in range(1, UNITS + 1)]
    assert [row[3] for row in rows] == [str(bucket_of("shop/ranker", f"user-{number}".encode())) for number in range(1, UNITS + 1)]


def test_every_unit_is_given_the_revision_of_its_slot(router: Router) -> None:
    router.serve(split(3000), pods={"ranker-old": [router.pod()], "ranker-new": [router.pod()]})
    units = [f"user-{number}" for number in range(1000)]
    expected = ["ranker-new" if slot_of("shop/ranker", unit.encode()) >= 7000 else "ranker-old" for unit in units]
    assert [router.ask(x_user_id=unit).revision for unit in units] == expected
    assert 250 < expected.count("ranker-new") < 350


def test_a_ramp_takes_units_from_stable_only(router: Router) -> None:
    pods = {"ranker-old": [router.pod()], "ranker-new": [router.pod()]}
    units = [f"user-{number}" for number in range(300)]
    given = []
    for candidate in (0, 1000, 5000, 10000):
        router.serve(split(candidate), pods=pods)
        given.append({unit for unit in units if router.ask(x_user_id=unit).revision == "ranker-new"})
    assert given[0] == set()
    assert given[0] < given[1] < given[2] < given[3] == set(units)


def test_two_routers_agree(folder: Path, router: Router) -> None:
    units = [f"user-{number}" for number in range(100)]
    other_folder = folder / "other"
    other_folder.mkdir()
    with Router(other_folder, workers=2) as other:
        for one in (router, other):
            one.serve(split(5000), pods={"ranker-old": [one.pod()], "ranker-new": [one.pod()]})
        assert [router.ask(x_user_id=unit).revision for unit in units] == [other.ask(x_user_id=unit).revision for unit in units]


def test_requests_without_a_unit_are_drawn_or_stable(router: Router) -> None:
    pods = {"ranker-old": [router.pod()], "ranker-new": [router.pod()]}
    drawn: dict[str, Counter[str]] = {}
    for name, unit in {
        "random": {"header": "x-user-id", "onMissing": "Random"},
        "stable": {"header": "x-user-id", "onMissing": "Stable"},
        "none": None,
    }.items():
        router.serve(split(5000, unit=unit), pods=pods)
        drawn[name] = Counter(router.ask().revision for _ in range(200))
    assert drawn["stable"] == {"ranker-old": 200}
    assert 60 < drawn["random"]["ranker-new"] < 140
    assert 60 < drawn["none"]["ranker-new"] < 140


def test_another_seed_splits_independently(router: Router) -> None:
    pods = {"ranker-old": [router.pod()], "ranker-new": [router.pod()]}
    units = [f"user-{number}" for number in range(400)]
    sides = []
    for seed in ("one", "two"):
        router.serve(split(5000, seed=seed), pods=pods)
        sides.append({unit for unit in units if router.ask(x_user_id=unit).revision == "ranker-new"})
    assert 60 < len(sides[0] & sides[1]) < 140


@pytest.mark.parametrize("unit", ["u" * 256, "Zo\xeb", 'a"b\\c', "a b", "%00%0d%0a", "\x80\xff"])
def test_a_unit_is_any_bytes(router: Router, unit: str) -> None:
    router.serve(split(5000), pods={"ranker-old": [router.pod()], "ranker-new": [router.pod()]})
    expected = "ranker-new" if slot_of("shop/ranker", unit.encode("latin-1")) >= 5000 else "ranker-old"
    assert router.ask(x_user_id=unit).revision == expected
    cells = router.taken()["cells"]
    assert [cell[4] for cell in cells if cell[3] == "b"] == [bucket_of("shop/ranker", unit.encode("latin-1"))]


def test_a_unit_that_is_too_long_is_refused(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod()]})
    answer = router.ask(x_user_id="u" * 257)
    assert (answer.status, answer.json) == (400, {"error": "the header x-user-id has more than 256 bytes: send a shorter unit"})


def test_many_slots_of_many_owners(router: Router) -> None:
    names = [f"arm-{number}" for number in range(7)]
    revisions = [{"name": name, "role": "Stable" if name == "arm-0" else "Treatment"} for name in names]
    slots = [[end, end % 7] for end in range(1, 10001)]
    router.serve(table(revisions=revisions, slots=slots), pods={name: [router.pod()] for name in names})
    units = [f"user-{number}" for number in range(200)]
    expected = [f"arm-{(slot_of('shop/ranker', unit.encode()) + 1) % 7}" for unit in units]
    assert [router.ask(x_user_id=unit).revision for unit in units] == expected
