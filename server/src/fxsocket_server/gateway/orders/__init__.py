"""Use cases of orders: place, modify, cancel."""
