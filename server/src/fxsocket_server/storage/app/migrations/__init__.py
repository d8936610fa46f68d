"""Alembic's home; the revisions stand in versions/."""
