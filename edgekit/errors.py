"""Everything edgekit raises on purpose, and the exit code each kind ends the command line with.

    EdgekitError
    ├── UsageError            2  the request itself is wrong
    │   ├── UnknownNameError     a name that is not on the list, with the nearest that is
    │   └── MissingExtraError    the request needs packages that are not installed
    ├── BadInputError         3  a file or folder handed in, or the place to write to, is not usable
    │   ├── CheckpointError
    │   ├── ArtifactError
    │   ├── RecipeError
    │   ├── BudgetFileError      a file of budgets, or a report to compare with, that is none
    │   ├── LockError            a lock file that is none
    │   ├── ProvenanceError      a statement or bill of materials that is missing, none, or about something else
    │   ├── PolicyError          an early-exit policy that is none, or is for another model
    │   ├── EvidenceError        a stored result for a report that is none
    │   ├── ModelSourceError     a user's file or factory that does not give a model
    │   ├── PluginError          what another package adds to edgekit does not fit
    │   ├── PlanError            a latency plan that is none
    │   ├── ReportError          a phone's report that is none, of another run, or contradicts itself
    │   └── OutputError
    ├── CannotExportError     4  the model cannot be rewritten or lowered
    │   ├── CaptureError         torch.export stops
    │   ├── DataDependentError   a size depends on what a tensor holds
    │   ├── RewriteError         a rewrite changed what the program computes
    │   └── LoweringError        a vendor's converter stops
    ├── ParityError           5  the artifact does not compute what the model computes
    ├── BudgetError           6
    │   └── LockMismatchError    another artifact than the lock file describes
    └── DeviceError           7
        ├── DeviceToolError      adb or devicectl is missing, or says what edgekit does not understand
        ├── NoDeviceError        no phone, or one that cannot be talked to
        ├── SeveralDevicesError  which of them?
        ├── AppMissingError      the harness is not installed there
        ├── DeviceFullError      no room for the models, or for the report
        ├── DeviceClockError     the phone's clock is wrong
        ├── DeviceHotError       too hot to start, or it got too hot meanwhile
        ├── DeviceLostError      unplugged in the middle
        └── AppStoppedError      the harness ended, or went on too long, without a report

Anything else that escapes is a defect of edgekit and ends with 1.
"""

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar, Self

_LONGEST_CHAIN = 10


def shown(text: str) -> str:
    """Return a text with every sign that a terminal might obey spelled out: ``\\x1b[2J``."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in "\n\t" else sign.encode("unicode_escape").decode() for sign in text)


class EdgekitError(Exception):
    """An expected failure, told in up to five short parts.

    ``summary`` is one line; ``what`` was there, ``where`` (file, line, module, key), ``why`` that does
    not work, and ``hint``: what to do next. The command line prints those that are set. ``details`` is what there is to
    tell a program beside the error: plain JSON values, added to the document of ``--json``. ``original`` is the text of another package's
    error that this one explains, for ``--verbose``. Names in them come from files: signs that would steer a terminal are spelled out.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, summary: str, *, what: str | None = None, where: str | None = None, why: str | None = None, hint: str | None = None) -> None:
        super().__init__(shown(summary))
        self.summary = shown(summary)
        self.what = what and shown(what)
        self.where = where and shown(where)
        self.why = why and shown(why)
        self.hint = hint and shown(hint)
        self.details: dict[str, Any] = {}
        self.original: str | None = None

    def explaining(self, error: BaseException) -> Self:
        """Keep the text of the error that this one puts into words, and of what caused it."""
        texts: list[str] = []
        link: BaseException | None = error
        while link is not None and len(texts) < _LONGEST_CHAIN:
            texts.append(f"{type(link).__name__}: {link}")
            link = link.__cause__
        self.original = shown("\n".join(texts))
        return self

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The labelled parts that are set, in reading order."""
        rows = (("what", self.what), ("where", self.where), ("why", self.why), ("try", self.hint))
        return tuple((label, text) for label, text in rows if text)

    def __str__(self) -> str:
        return "\n".join([self.summary, *(f"  {label:<7} {text}" for label, text in self.parts)])


class UsageError(EdgekitError):
    """The request contradicts itself or asks for what is not offered."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not on the list."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        super().__init__(
            f"unknown {kind} {name!r}",
            what=f"{kind}s: {', '.join(known)}",
            hint=f"did you mean {near[0]!r}?" if near else None,
        )


class MissingExtraError(UsageError):
    """Packages of an optional extra are not installed."""

    def __init__(self, purpose: str, extra: str, missing: Iterable[str]) -> None:
        super().__init__(
            f"{purpose} needs packages that are not installed",
            what=f"missing: {', '.join(sorted(missing))}",
            hint=f"pip install 'edgekit[{extra}]'",
        )


class BadInputError(EdgekitError):
    """Something handed in cannot be used."""

    exit_code = 3


class CheckpointError(BadInputError):
    """A weights file is truncated, foreign, unsafe, or of another model."""


class ArtifactError(BadInputError):
    """An artifact is missing, truncated, foreign, or not what its manifest says."""


class RecipeError(BadInputError):
    """A recipe file cannot be read or asks for something unknown."""


class BudgetFileError(BadInputError):
    """A file of budgets, or a gate's report to compare with, cannot be read or contradicts itself."""


class LockError(BadInputError):
    """A lock file cannot be read or contradicts itself."""


class ProvenanceError(BadInputError):
    """A statement of provenance or a bill of materials is missing, is none, or speaks of another artifact."""


class PolicyError(BadInputError):
    """An early-exit policy cannot be read, contradicts itself, or was made for another model."""


class EvidenceError(BadInputError):
    """A stored result that a report is to be made of cannot be read, or is none."""


class ModelSourceError(BadInputError):
    """A user's file or factory does not give a model."""


class PluginError(BadInputError):
    """What another package adds to edgekit by entry points cannot be imported, or is not what it has to be."""


class PlanError(BadInputError):
    """A latency plan cannot be read or contradicts itself; ``code`` is the same word in every language."""

    def __init__(self, code: str, summary: str, *, what: str | None = None, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(summary, what=what, where=where, hint=hint)
        self.code = code


class ReportError(BadInputError):
    """A latency report cannot be believed; ``code`` is the same word in every language."""

    def __init__(
        self, code: str, summary: str, *, what: str | None = None, where: str | None = None, why: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(summary, what=what, where=where, why=why, hint=hint)
        self.code = code


class OutputError(BadInputError):
    """The output folder cannot be written, or holds what would be overwritten."""


class CannotExportError(EdgekitError):
    """The model cannot be brought into the form the target needs."""

    exit_code = 4


class CaptureError(CannotExportError):
    """``torch.export`` cannot capture the model."""


class DataDependentError(CannotExportError):
    """The size of a value depends on what a tensor holds, and no rewrite makes it static."""


class RewriteError(CannotExportError):
    """A rewrite's result differs from what it replaced, beyond its tolerance."""


class LoweringError(CannotExportError):
    """A vendor's converter failed."""


class ParityError(EdgekitError):
    """The artifact ran and does not match the eager model."""

    exit_code = 5


class BudgetError(EdgekitError):
    """A committed budget is exceeded."""

    exit_code = 6


class LockMismatchError(BudgetError):
    """An artifact is not the one that a lock file describes."""


class DeviceError(EdgekitError):
    """A phone, or the connection to it, failed."""

    exit_code = 7


class DeviceToolError(DeviceError):
    """The tool that talks to phones is missing, or answers what edgekit does not understand."""


class NoDeviceError(DeviceError):
    """No phone is connected, or it does not let itself be talked to."""


class SeveralDevicesError(DeviceError):
    """Several phones are connected and none was chosen."""


class AppMissingError(DeviceError):
    """The harness is not installed on the phone."""


class DeviceFullError(DeviceError):
    """The phone has no room for the models or the report."""


class DeviceClockError(DeviceError):
    """The phone's time of day is wrong."""


class DeviceHotError(DeviceError):
    """The phone is too hot to measure on."""


class DeviceLostError(DeviceError):
    """The phone was unplugged, or stopped answering, in the middle of a run."""


class AppStoppedError(DeviceError):
    """The harness ended, or went on past its deadline, without a report."""
