"""The running house, as a client sees it: processes and HTTP only."""
