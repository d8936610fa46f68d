"""Schema revisions of app.db, oldest first."""
