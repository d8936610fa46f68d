"""app.db: users, keys and accounts; SQLAlchemy Core, migrated by Alembic from the first table."""
