"""The small model that the embedded engine runs: how it was trained, and how good it is."""
