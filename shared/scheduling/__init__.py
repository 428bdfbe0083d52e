"""Which task next, on which worker, and when to give one up: pure, the same live and simulated."""
