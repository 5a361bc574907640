"""Values of outcomes as whole millionths, so that sums are exact whatever order they are made in, and what is taken away leaves nothing behind."""

PLACES = 6
ONE = 10**PLACES
LARGEST = 1e9
"""Greatest size of an outcome's value: below it a double still tells one millionth from the next, for 1e9 in millionths is less than 2**53."""


def from_number(value: float) -> int:
    """The nearest number of millionths. ValueError: it is not finite, or beyond ``LARGEST``.

    0.1 -> 100000; -2.5 -> -2500000; 0.0000004 -> 0
    """
    if not -LARGEST <= value <= LARGEST:  # NaN is neither
        raise ValueError(f"it should be a finite number from {-LARGEST:.0f} to {LARGEST:.0f}")
    found: int = round(value * ONE)
    return found


def plain(amount: int, *, places: int = PLACES) -> str:
    """An amount as a decimal number, exactly, as JSON has numbers; ``places`` is 6 for a value and 12 for a product of two.

    2500000 -> 2.5; -1 -> -0.000001
    """
    whole, part = divmod(abs(amount), 10**places)
    fraction = f"{part:0{places}d}".rstrip("0")
    return f"{'-' if amount < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"
