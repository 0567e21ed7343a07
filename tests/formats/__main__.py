"""Writes the bytes of formats whose version is new: ``python -m tests.formats``; it leaves alone what is there."""

from tests.formats.table import FORMATS
from tests.formats.test_formats import golden


def main() -> None:
    """Writes them."""
    for each in FORMATS:
        path = golden(each)
        if not path.exists():
            path.write_bytes(each.sample)


if __name__ == "__main__":
    main()
