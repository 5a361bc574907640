"""The agent of a router: watches the API server, feeds nginx, adds up what nginx counted, plays shadows, writes exposures."""
