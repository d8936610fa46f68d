"""REST: the only part that knows HTTP."""
