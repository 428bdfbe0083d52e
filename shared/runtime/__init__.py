"""How a process of the house is configured, kept running, checked and stopped."""
