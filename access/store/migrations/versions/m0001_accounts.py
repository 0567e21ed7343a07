"""Service accounts, their roles and their keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables, unless a version that knew no steps has made them."""
    if sa.inspect(op.get_bind()).has_table("service_accounts"):
        return
    op.create_table(
        "service_accounts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("is_admin", sa.Boolean, nullable=False),
        sa.Column("default_workspace", sa.String(200)),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "role_assignments",
        sa.Column(
            "account_id", sa.String(32), sa.ForeignKey("service_accounts.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("workspace", sa.String(200), primary_key=True),
        sa.Column("role", sa.String(20), primary_key=True),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column(
            "account_id",
            sa.String(32),
            sa.ForeignKey("service_accounts.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("revoked_at", sa.DateTime),
    )
