"""What arrives at the house, and two ways to let it arrive."""
