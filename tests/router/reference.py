"""The hash and what is made of it, as docs/design/20261125-router.md defines them."""

MASK = 0xFFFFFFFF
MULTIPLIER = 0x5BD1E995
SLOTS, BUCKETS = 10_000, 64


def murmur2(data: bytes) -> int:
    """MurmurHash2 of 32 bits with seed 0."""
    hashed = len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * MULTIPLIER & MASK
        word = (word ^ word >> 24) * MULTIPLIER & MASK
        hashed = hashed * MULTIPLIER & MASK ^ word
    if data[whole:]:
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * MULTIPLIER & MASK
    hashed = (hashed ^ hashed >> 13) * MULTIPLIER & MASK
    return hashed ^ hashed >> 15


def part(hashed: int, parts: int) -> int:
    """The least k with hashed < (k + 1) * MASK // parts, the last where there is none."""
    low, high = 0, parts - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if hashed < (middle + 1) * MASK // parts else (middle + 1, high)
    return low


def slot_of(seed: str, unit: bytes) -> int:
    return part(murmur2(seed.encode() + b":" + unit), SLOTS)


def bucket_of(seed: str, unit: bytes) -> int:
    return part(murmur2(b"bucket:" + seed.encode() + b":" + unit), BUCKETS)
