"""One part at a time, without sockets and without waiting."""
