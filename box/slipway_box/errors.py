"""What the box cannot do, told to the person at the keyboard."""


class BoxError(Exception):
    """One sentence that says what is wrong and what to do about it; printed without a traceback, exit status 1."""
