"""The classifier says what a task is and what it will cost."""
