"""Copies of a server's state: databases by SQLite's backup, one archive, new epochs."""
