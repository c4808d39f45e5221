"""alembic's entry: it runs the migrations on the connection that `upgrade` hands it."""

from __future__ import annotations

from alembic import context

from gateway.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite alters a table by making another
)
with context.begin_transaction():
    context.run_migrations()
