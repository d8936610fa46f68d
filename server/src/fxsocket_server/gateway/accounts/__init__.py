"""Accounts as users make, change and remove them."""
