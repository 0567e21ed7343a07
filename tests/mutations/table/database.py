"""Version file, and how secondaries catch up."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="version-goes-back",
        file="infra/database/version_file.py",
        old="if epoch < self._counters[_EPOCH] or version < self._counters[_VERSION]:",
        new="if epoch < self._counters[_EPOCH]:",
        why="a second writer would take readers back in time",
        tests=("tests/infra/database/test_version_file.py::test_nothing_goes_back",),
    ),
    Mutation(
        name="version-file-replaced-unnoticed",
        file="infra/database/version_file.py",
        old=(
            "    def in_place(self) -> bool:\n"
            '        """Tells whether the file is still the one at its path; about 1 µs."""\n'
            "        return identity_at(self._path) == self._identity"
        ),
        new=(
            "    def in_place(self) -> bool:\n"
            '        """Tells whether the file is still the one at its path; about 1 µs."""\n'
            "        return True"
        ),
        why="readers would stay with a version file that nobody writes",
        tests=("tests/infra/database/test_version_file.py::test_both_sides_know_that_the_file_is_not_at_its_path",),
    ),
    Mutation(
        name="version-file-left-without-a-word",
        file="infra/database/version_file.py",
        old=("        self._counters[_VERSION] = _ABANDONED\n        self.close()"),
        new="        self.close()",
        why="a reader that missed a version file in between would stay with a dead one",
        tests=(
            "tests/infra/database/test_version_file.py::test_reader_of_an_abandoned_file_waits_for_a_version_that_never_comes",
        ),
    ),
    Mutation(
        name="epochs-are-counted",
        file="infra/database/layout.py",
        old="return max(known + 1, now << EPOCH_RANDOM_BITS | random)",
        new="return known + 1",
        why="after state was deleted and rebuilt, readers would go on with the old one",
        tests=(
            "tests/infra/database/test_primary.py::TestPublication::test_epochs_differ_where_nothing_is_known_of_those_before",
        ),
    ),
    Mutation(
        name="secondary-shows-another-epoch",
        file="infra/database/secondary.py",
        old="if newest < version or not epoch == self._opened_epoch == decode_number(db.get(EPOCH_KEY)):",
        new="if newest < version:",
        why="a database that was rebuilt would be read through the deleted one",
        tests=(
            "tests/infra/database/test_secondary.py::test_no_read_is_stale_when_the_version_file_alone_is_removed_or_replaced",
        ),
    ),
    Mutation(
        name="secondary-shows-too-little",
        file="infra/database/secondary.py",
        old="if newest < version or not epoch ==",
        new="if not epoch ==",
        why="a read after an ack would not show what was acked",
        tests=(
            "tests/infra/database/test_secondary.py::test_no_read_is_stale_while_a_writer_goes_on_in_a_folder_that_was_removed",
        ),
    ),
    Mutation(
        name="secondary-holes-not-looked-for",
        file="infra/database/secondary.py",
        old=("return all(later is not None and later.follows(earlier) for later, earlier in pairwise(generations))"),
        new="return True",
        why="a flush during a catch-up would hide batches in the middle",
        tests=(
            "tests/infra/database/test_stale_reads.py::TestRefresh::test_batches_missing_in_the_middle_are_noticed",
        ),
    ),
    Mutation(
        name="rebuild-is-published",
        file="infra/database/primary.py",
        old="        if not self.rebuilding:\n            # Last: whoever reads a version finds its batch.",
        new="        if True:\n            # Last: whoever reads a version finds its batch.",
        why="readers would be told of a state that is not whole",
        tests=(
            "tests/infra/database/test_primary.py::TestPublication::test_nothing_is_published_while_rebuilding_and_nothing_goes_back",
        ),
    ),
    Mutation(
        name="format-of-state-not-checked",
        file="infra/database/primary.py",
        old=("        if found != FORMAT_VERSION:\n"),
        new=("        if found > FORMAT_VERSION:\n"),
        why="state of another layout would be read as this one",
        tests=("tests/infra/database/test_primary.py::TestBadDisks::test_unknown_format_says_what_to_do",),
    ),
)
