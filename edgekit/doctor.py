"""Says what is wrong with an environment, from packages' metadata alone: a broken one is explained before anything of it is imported."""

import importlib.metadata
import importlib.util
import itertools
import platform
from collections.abc import Iterable, Iterator

from attrs import frozen

from edgekit.capabilities import TARGETS
from edgekit.errors import EdgekitError, MissingExtraError, UsageError
from edgekit.installed import OWN, Need, needs

_TORCH = "torch"
_WORDS = {"older": "is older than", "newer": "is newer than", "other": "is not"}
_GPU_BUILDS = ("+cu", "+rocm", "+xpu")


@frozen(kw_only=True)
class Problem:
    """One thing that is wrong. ``stops``: what cannot be done with it, ``None`` where all may still go well."""

    about: str
    what: str
    hint: str
    stops: str | None


@frozen(kw_only=True)
class Diagnosis:
    """What edgekit asks for by itself, and everything that is wrong with that or with what those packages ask for."""

    packages: tuple[Need, ...]
    problems: tuple[Problem, ...]

    @property
    def usable(self) -> bool:
        """Whether anything can be exported."""
        return all(problem.stops != _ALL for problem in self.problems)


_ALL = "everything"


def diagnose() -> Diagnosis:
    """Look at what is installed."""
    found = list(needs())
    own = tuple(need for need in found if need.needed_by == OWN)
    problems = [*_python(), *(problem for need in own for problem in _own_problems(need)), *_conflicts(found), *_torch_build(own)]
    return Diagnosis(packages=own, problems=tuple(problems))


def warnings_for(targets: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for each package that an export to these targets uses in another version than edgekit was proved with."""
    names = set(targets)
    extras = {facts.extra for facts in TARGETS if facts.name in names}
    own = itertools.takewhile(lambda need: need.needed_by == OWN, needs(sorted(extras)))  # these come first; what they need takes longer to find
    rows = [need for need in own if need.state in _WORDS]
    return tuple(f"{_told(need)}; edgekit doctor tells more" for need in rows)


def explained(error: ImportError) -> EdgekitError | None:
    """Return what to tell of an import that failed because a package that edgekit needs is missing or broken; ``None``: it was something else."""
    name = (error.name or "").partition(".")[0]
    for need in needs():
        if need.needed_by != OWN or need.name.replace("-", "_") != name:
            continue
        if need.installed is None:
            return MissingExtraError("edgekit", need.extra, [need.name]) if need.extra else _missing_torch(need)
        return UsageError(
            f"{need.name} {need.installed} is installed and cannot be imported",
            why=str(error).partition("\n")[0],
            hint=f"pip install --force-reinstall --no-deps {need.name}{need.wanted}",
        )
    return None


def _missing_torch(need: Need) -> EdgekitError:
    return UsageError(f"{need.name} is not installed", why="edgekit needs it for everything", hint=_install(need))


def _python() -> Iterator[Problem]:
    from packaging.specifiers import SpecifierSet

    wanted = importlib.metadata.metadata(OWN)["Requires-Python"]
    if wanted and not SpecifierSet(wanted).contains(platform.python_version(), prereleases=True):
        yield Problem(about="Python", what=f"{platform.python_version()}, edgekit needs {wanted}", hint="make a new environment", stops=_ALL)


def _own_problems(need: Need) -> Iterator[Problem]:
    stops = _ALL if need.extra is None else _purpose(need.extra)
    if need.state == "missing":
        yield Problem(about=need.name, what="is missing", hint=_install(need), stops=stops)
    elif need.state != "ok":
        # A converter of another version may do; another torch is what compiled extensions crash with.
        yield Problem(about=need.name, what=_told(need), hint=_install(need), stops=_ALL if need.name == _TORCH else None)
    elif importlib.util.find_spec(_TORCH) is None and need.name == _TORCH:
        yield Problem(about=need.name, what="its metadata is there and its modules are not", hint=_install(need), stops=_ALL)


def _conflicts(found: Iterable[Need]) -> Iterator[Problem]:
    for need in found:
        if need.needed_by != OWN and need.state not in ("ok", "missing"):
            what = f"{need.needed_by} asks for {need.name}{need.wanted}, {need.installed} is installed"
            yield Problem(about=need.name, what=what, hint="edgekit's requirements.lock has versions that go together", stops=None)


def _torch_build(own: Iterable[Need]) -> Iterator[Problem]:
    version = next((need.installed or "" for need in own if need.name == _TORCH), "")
    if any(mark in version for mark in _GPU_BUILDS):
        what = f"{version} is a build for GPUs: it works, and brings gigabytes that nothing here uses"
        yield Problem(about=_TORCH, what=what, hint="install a CPU build where your index has one", stops=None)


def _told(need: Need) -> str:
    return f"{need.name} {need.installed} {_WORDS.get(need.state, 'is not')} {need.wanted.removeprefix('==')}, which edgekit was proved with"


def _install(need: Need) -> str:
    if need.name == _TORCH:
        return f"pip install torch{need.wanted}, first and alone; then pip install '{OWN}[all]'"
    return f"pip install '{OWN}{f'[{need.extra}]' if need.extra else ''}' brings {need.name} {need.wanted}"


def _purpose(extra: str) -> str:
    return next((f"target {facts.name}" for facts in TARGETS if facts.extra == extra), f"what needs {OWN}[{extra}]")
