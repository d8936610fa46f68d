"""Use cases of positions: modify, close."""
