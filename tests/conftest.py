"""What holds for every test."""

import hypothesis

# The same examples in every run, however slow the machine is: a red run can be repeated.
hypothesis.settings.register_profile("slipway", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("slipway")
