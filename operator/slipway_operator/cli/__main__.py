"""``python -m slipway_operator.cli``: the same as the console script."""

import sys

from slipway_operator.cli import main

sys.exit(main())
