"""``python3 -m slipway_box``."""

import sys

from slipway_box import cli

sys.exit(cli.main(sys.argv[1:]))
