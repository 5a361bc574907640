"""The fault campaign: an operator whose way to the real API server goes wrong, one recorded moment at a time."""
