"""Alembic's entry: it migrates over the connection that `Database.migrate` hands in, inside its transaction.

The next migration is drafted from the models, over a database at the newest version, by

    with Database(url).write() as connection:
        command.revision(migration_config(connection), "what it does", autogenerate=True, rev_id="0002")

and read before it is kept: a Moment is an sa.DateTime() there, for a migration must not change with the models.
"""

from alembic import context

from service.storage.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by building another
)
context.run_migrations()
