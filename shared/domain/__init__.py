"""The words of the house: what a task is, what was promised about it, and how it can end."""
