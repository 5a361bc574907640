"""``python -m slipway_operator`` runs the operator."""

import os
import sys


def main() -> int:
    """Run the operator; settings and credentials that cannot work end it with a sentence and status 2."""
    try:
        from slipway_operator import errors, logs, settings
        from slipway_operator.handlers import app
    except ImportError as error:
        print(f"{error.name} is not installed: the operator needs pip install 'slipway-ml[operator]'", file=sys.stderr)  # noqa: T201
        return 2
    try:
        configured = settings.Settings.from_environment(os.environ)
        logs.configure(level=configured.log_level)
        app.run(configured)
    except (settings.SettingsError, errors.CredentialsError) as error:
        print(f"slipway-operator cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
