"""Writes the pages under `docs/reference` anew: ``make reference``."""

from tests.docs.reference.pages import FOLDER, PAGES

FOLDER.mkdir(exist_ok=True)
for name, make in PAGES.items():
    (FOLDER / name).write_text(make(), encoding="utf-8")
