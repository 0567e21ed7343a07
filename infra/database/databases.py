"""Opening databases: the door to the modules that do it, for the writer and for readers.

Invariant: one process at most writes a database, any number read it, and all databases that a process has open share
one ``DatabaseResources``.
"""

from infra.database.layout import DatabaseResources
from infra.database.primary import PrimaryDatabase
from infra.database.secondary import SecondaryDatabase

__all__ = ["DatabaseResources", "PrimaryDatabase", "SecondaryDatabase"]
