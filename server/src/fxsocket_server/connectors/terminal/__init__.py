"""A simulated terminal: a simulated broker behind FXB/1, dialling a server's bridge."""
