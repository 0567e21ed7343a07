"""The pages that are made of tables in the code."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.docs.reference.command_page import commands_page
from tests.docs.reference.definitions import definitions_page
from tests.docs.reference.error_codes import error_codes_page
from tests.docs.reference.limits import limits_page
from tests.docs.reference.metrics import metrics_page
from tests.docs.reference.settings import settings_page

FOLDER = Path(__file__).parents[3] / "docs" / "reference"

PAGES: Mapping[str, Callable[[], str]] = {
    "definitions.md": definitions_page,
    "commands.md": commands_page,
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "error-codes.md": error_codes_page,
    "limits.md": limits_page,
}
