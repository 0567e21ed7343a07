from dataclasses import FrozenInstanceError, fields

import pytest

from serving.reads.dialect import ReadCall
from serving.reads.read_plan import LeadingEdge
from serving.tecton.get_features import GET_FEATURES_DIALECT


def test_a_dialect_is_a_value() -> None:
    for field in fields(GET_FEATURES_DIALECT):
        with pytest.raises(FrozenInstanceError):
            setattr(GET_FEATURES_DIALECT, field.name, None)


def test_a_call_is_a_value() -> None:
    call = ReadCall("s", None, LeadingEdge.WALL_CLOCK, is_metered=False, is_explained=False, asked=None)
    for name in call.__struct_fields__:
        with pytest.raises(AttributeError, match="immutable"):
            setattr(call, name, None)
