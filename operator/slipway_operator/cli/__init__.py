"""The ``slipway`` command line."""
