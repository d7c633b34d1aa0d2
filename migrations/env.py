"""Alembic's entry: it migrates over the connection that `Database.migrate` hands in, inside its transaction."""

from alembic import context

from service.storage.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the transaction around it all is ours
)
context.run_migrations()
