"""The tables of the access store.

Invariant: no column holds a key, only its hash.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Collects the tables."""


class ServiceAccount(Base):
    """A program that calls the APIs."""

    __tablename__ = "service_accounts"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    is_admin: Mapped[bool]
    default_workspace: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime]
    """UTC, without a zone: SQLite keeps none."""

    roles: Mapped[list["RoleAssignment"]] = relationship(lazy="selectin", order_by="RoleAssignment.workspace")


class RoleAssignment(Base):
    """A role of an account in one workspace, or in all (``*``)."""

    __tablename__ = "role_assignments"

    account_id: Mapped[str] = mapped_column(ForeignKey("service_accounts.id", ondelete="CASCADE"), primary_key=True)
    workspace: Mapped[str] = mapped_column(String(200), primary_key=True)
    role: Mapped[str] = mapped_column(String(20), primary_key=True)


class Key(Base):
    """A key of an account, by its hash; a revoked one is kept for the record."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("service_accounts.id", ondelete="CASCADE"), index=True)
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    account: Mapped[ServiceAccount] = relationship(lazy="joined", innerjoin=True)
