"""What Alembic runs to migrate: over the connection that it is given, in the transaction of whoever gave it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], target_metadata=None)
context.run_migrations()
