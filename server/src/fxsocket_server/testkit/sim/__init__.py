"""A deterministic world: the real server, its clients and what may go wrong, from one seed."""
