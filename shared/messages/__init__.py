"""The wire contract: every message, its topic, and the bus that carries it."""
