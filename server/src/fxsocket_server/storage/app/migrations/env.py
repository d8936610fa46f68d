"""Runs the revisions on the connection that `storage.app.store` hands over."""

from alembic import context

from fxsocket_server.storage.app.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
