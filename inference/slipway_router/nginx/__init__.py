"""nginx of the router: its configuration, and how it starts and stops."""
