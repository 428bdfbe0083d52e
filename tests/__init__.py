"""Every promise of the house has a test here that tries to break it."""
