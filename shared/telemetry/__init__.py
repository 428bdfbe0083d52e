"""Names of metrics and spans, their instruments, and how a trace crosses a hop."""
