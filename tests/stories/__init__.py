"""The whole house in memory, on a clock that jumps."""
