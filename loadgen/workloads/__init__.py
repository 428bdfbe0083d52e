"""What arrives at a coding service, when, from whom, and what it says."""
