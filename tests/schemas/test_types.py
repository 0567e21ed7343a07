from schemas.types import Array, Bool, DataType, Field, Int64, Map, String, Struct, fold


def text(dtype: DataType) -> str:
    return fold(
        dtype,
        scalar=str,
        array=lambda element: f"[{element}]",
        mapping=lambda value: f"<{value}>",
        struct=lambda members: "(" + ", ".join(f"{field.name}: {member}" for field, member in members) + ")",
    )


def test_a_walk_goes_from_the_inside_out_and_keeps_the_order_of_members() -> None:
    dtype = Array(Struct((Field("b", Map(Int64)), Field("a", Array(Array(String))), Field("c", Struct(())))))
    assert text(dtype) == "[(b: <int64>, a: [[string]], c: ())]"
    assert text(Bool) == "boolean"


def test_scalars_are_shown_by_their_names() -> None:
    assert repr(Array(String)) == "Array(element=string)"


def test_every_type_has_its_name() -> None:
    types = (Int64, Array(Int64), Map(Int64), Struct(()))
    assert [dtype.name for dtype in types] == [
        "int64",
        "array",
        "map",
        "struct",
    ]
