"""What became of all events of a file, added up over the answers to its requests.

Invariant: each record that was sent is counted once, and each that failed somewhere is named.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.inspection.outcomes import ORDER

INGESTED: Final = "ingested"
PARTLY: Final = "ingested, not by each view"
CHECKED: Final = "checked, nothing written"
WOULD_FAIL: Final = "checked, would fail in a view, nothing written"


@dataclass(frozen=True, slots=True)
class Told:
    """A notice of the API, with its counts added up.

    Attributes:
        about: the view, ``name@version``, or the source.
        kind: of notice.
        message: what comes after count and kind.
        noun: what is counted, of one.
    """

    about: str
    kind: str
    message: str
    noun: str


@dataclass(slots=True)
class IngestSummary:
    """The sum; ``take`` adds an answer to it.

    Attributes:
        source: that the events are of.
        dry_run: whether they are checked alone.
        outcomes: records by what became of them: ingested, ingested but not by each view, or the code of a refusal.
        views: by view, what became of its rows and records.
        told: notices, with how many they are about.
        problems: one line for each record and view that failed, with the record's place in the file.
        sent: how many records the answers are about.
    """

    source: str
    dry_run: bool
    outcomes: Counter[str] = field(default_factory=Counter)
    views: dict[str, Counter[str]] = field(default_factory=dict)
    told: Counter[Told] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    sent: int = 0

    def take(self, answer: Any, places: Sequence[str]) -> None:
        """Adds the answer to the records at these places, which was asked for diagnostics."""
        result, diagnostics = answer["sources"][self.source], answer["diagnostics"]
        refused = {each["index"]: each["error"] for each in result["records"].get("errors", ())}
        failures = [(each["index"], f"view {_view(each)}: ", each["error"]) for each in diagnostics["failures"]]
        partly = {index for index, _, _ in failures}
        self.outcomes.update(error["code"] for error in refused.values())
        self.outcomes[WOULD_FAIL if self.dry_run else PARTLY] += len(partly)
        self.outcomes[CHECKED if self.dry_run else INGESTED] += len(places) - len(refused) - len(partly)
        named = [*((index, "", error) for index, error in refused.items()), *failures]
        for index, where, error in sorted(named, key=lambda each: each[0]):
            self.problems.append(f"{places[index]}: {where}{error['code']}: {error['message']}")
        for each in diagnostics["feature_views"].get(self.source, ()):
            self.views.setdefault(_view(each), Counter()).update(each["became"])
        for each in diagnostics["notices"]:
            is_view = "name" in each
            told = Told(
                _view(each) if is_view else f"source {self.source}",
                each["kind"],
                each["message"],
                "row" if is_view else "record",
            )
            self.told[told] += each["count"]
        self.sent += len(places)

    def document(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {
            "outcomes": {name: count for name, count in self.outcomes.items() if count},
            "views": {view: _ordered(counts) for view, counts in sorted(self.views.items())},
            "notices": [
                {"about": told.about, "kind": told.kind, "count": count, "message": told.message}
                for told, count in self.told.items()
            ],
            "problems": self.problems,
        }


def _view(each: Mapping[str, Any]) -> str:
    return f"{each['name']}@{each['version']}"


def _ordered(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts[name] for name in ORDER if counts.get(name)}
