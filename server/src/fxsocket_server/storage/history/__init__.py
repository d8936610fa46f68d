"""Market history that ships with the server."""
