"""What an export is held to, and what it leaves beside its artifacts: the lock it has to reproduce, its statement and bill of materials."""

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from edgekit.capabilities import target_facts
from edgekit.errors import MissingExtraError, UsageError
from edgekit.installed import tool_versions
from edgekit.provenance.check import provenance_of
from edgekit.provenance.lock import read_lock, require_same, require_tools, update_lock
from edgekit.recipe import Recipe


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


@frozen(kw_only=True)
class Proofs:
    """What was asked for.

    :param provenance: leave a statement and a bill of materials beside each artifact.
    :param lock: write the digest of each artifact into this file. :param check_lock: stop unless each has the digest in this file.
    """

    provenance: bool = False
    lock: Path | None = field(default=None, converter=_path)
    check_lock: Path | None = field(default=None, converter=_path)

    def before(self, recipes: Sequence[Recipe], paths: Sequence[Path]) -> None:
        """Refuse what could not succeed, before anything is built.

        :raises UsageError: a lock cannot be written and checked at once. :raises MissingExtraError: no CycloneDX library.
        :raises LockError: a lock file that is none. :raises LockMismatchError: it does not know an artifact, or with other tools.
        """
        if self.lock is not None and self.check_lock is not None:
            raise UsageError("--lock writes what --check-lock checks", hint="give one of them")
        if self.provenance and (missing := [name for name in ("cyclonedx", "packageurl") if importlib.util.find_spec(name) is None]):
            raise MissingExtraError("a bill of materials", "provenance", missing)
        if self.lock is not None and self.lock.exists():
            read_lock(self.lock)
        if self.check_lock is not None:
            known = read_lock(self.check_lock)
            for recipe, path in zip(recipes, paths, strict=True):
                require_tools(known, path.name, tool_versions(target_facts(recipe.target)))

    @contextlib.contextmanager
    def around(self, staged: Path, document: Mapping[str, Any], made_by: str | None = None) -> Iterator[Mapping[str, str]]:
        """Stop an artifact that is not the locked one; yield what lies beside it, by suffix; lock it once it is in place.

        :param staged: the finished artifact. :param document: its manifest. :param made_by: the kind of processor that made it; ``None``: this one.
        :raises LockMismatchError: it is another. :raises OutputError: the lock file cannot be written.
        """
        if self.check_lock is not None:
            require_same(read_lock(self.check_lock), document, made_by)
        yield provenance_of(staged, document) if self.provenance else {}
        if self.lock is not None:
            update_lock(self.lock, [document], made_by)
