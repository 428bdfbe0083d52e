"""The catalogue of coding tasks, one file each."""
