import json
import re
from io import BytesIO
from typing import Any

import fastavro
from hypothesis import given
from hypothesis import strategies as st

from processors.logs.columns import encode_records, field_encoder
from schemas.avro.schema import avro_record
from schemas.types import Field
from tests.support.column_types import TYPES, canonical, of_field
from tests.support.histories import examples

FIELDS = st.lists(st.tuples(TYPES, st.booleans()), min_size=1, max_size=3).map(
    lambda kinds: tuple(Field(f"c{i}", dtype, required) for i, (dtype, required) in enumerate(kinds))
)


def plain(schema: Any) -> Any:
    """Returns a schema that fastavro reads instants of as the numbers that they are."""
    text = re.sub(r', "logicalType": "[a-z-]+"', "", json.dumps(schema))
    return fastavro.parse_schema(json.loads(text))


@given(st.data(), FIELDS)
@examples(200)
def test_another_avro_reader_reads_what_was_written(data: st.DataObject, fields: tuple[Field, ...]) -> None:
    rows = data.draw(st.lists(st.tuples(*[of_field(field) for field in fields]), max_size=4))
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in fields]
    encoded = encode_records([field_encoder(f)(column) for f, column in zip(fields, columns, strict=True)])
    stream = BytesIO(encoded)
    schema = plain({"type": "array", "items": avro_record("row", fields)})
    read: Any = fastavro.schemaless_reader(stream, schema, None)
    assert stream.tell() == len(encoded)
    assert canonical([list(row.values()) for row in read]) == canonical(rows)
