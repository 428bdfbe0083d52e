"""A worker runs tasks on an engine, streams their tokens and reports."""
