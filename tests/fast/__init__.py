"""The simulator that `make fast` compiles."""
