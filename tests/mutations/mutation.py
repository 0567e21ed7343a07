"""One listed change of the core, and how it is put into a text.

Invariant: a mutation that does not apply exactly once is an error, never a mutation that is silently left out.
"""

from dataclasses import dataclass


class StaleError(Exception):
    """The text that a mutation replaces is not in its file exactly once: the code moved on, and the entry must too."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change that must make a test fail.

    Attributes:
        name: unique; what ``--only`` takes.
        file: relative to the root of the repository.
        old: text that is in the file exactly once.
        new: what stands there instead.
        why: what would go wrong for whoever uses the system.
        tests: pytest node ids, each of which fails under the change.
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Returns the text of the file with the change in it.

        Raises:
            StaleError: the old text is not there exactly once.
        """
        found = text.count(self.old)
        if found != 1:
            raise StaleError(f"{self.name}: the old text is {found} times in {self.file}, expected once")
        return text.replace(self.old, self.new)
