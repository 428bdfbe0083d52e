"""The scheduler decides which task runs next, on which worker, and what is given up."""
