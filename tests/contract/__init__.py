"""One suite per port; every adapter must pass the suite of the real thing."""
