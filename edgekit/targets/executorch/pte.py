"""Reads a ``.pte`` file and checks it before ExecuTorch's C++ sees it, which trusts much of what it reads.

    0               4      8               program_size      base = segment_base_offset
    | root offset | ET12 | eh00, sizes ... | flatbuffer ... | padding | segment 0 | padding | segment 1 ...

Source: ``exir/_serialize/_program.py`` and ``schema/program.fbs`` of executorch 1.5.1.
"""

from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit.errors import ArtifactError
from edgekit.quiet import quiet
from edgekit.targets.file_kind import describe

_MAGIC = b"ET12"
_HEADER_MAGIC = b"eh00"
_HEADER_AT = 8
_HEADER_END = _HEADER_AT + 32
_LARGEST = 4 << 30  # bytes; a program for a phone stays far below


@frozen(kw_only=True)
class PteFile:
    """A checked file. ``program`` is ExecuTorch's own dataclass; ``segments`` are ``(offset, size)`` in the file, bytes."""

    content: bytes
    program: Any
    program_bytes: int
    segments: tuple[tuple[int, int], ...]

    def segment(self, index: int) -> bytes:
        """Return the bytes of a segment."""
        offset, size = self.segments[index]
        return self.content[offset : offset + size]

    def payload(self, delegate: Any) -> bytes:
        """Return what a delegate's backend wrote."""
        place = delegate.processed
        return self.segment(place.index) if int(place.location) == 1 else bytes(self.program.backend_delegate_data[place.index].data)

    def constant(self, index: int) -> bytes:
        """Return a constant of the kernels outside the delegates, with the padding behind it."""
        place = self.program.constant_segment
        start, *following = place.offsets[index : index + 2]
        return self.segment(place.segment_index)[start : following[0] if following else None]

    def named_data(self, key: str) -> bytes | None:
        """Return a named data entry, or ``None``."""
        return next((self.segment(entry.segment_index) for entry in self.program.named_data if entry.key == key), None)


def read_pte(path: Path) -> PteFile:
    """Read a program and check its structure: sizes, tables, references.

    A flipped bit inside a value passes; the digest in the manifest is what finds that.

    :raises ArtifactError: missing, foreign, truncated, or pointing outside itself.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise ArtifactError(f"{path.name} is too large to be read", what=f"{size} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {path.name}", why=error.strerror or str(error)) from error
    if content[4:8] != _MAGIC:
        raise ArtifactError(f"{path.name} is no ExecuTorch program", what=describe(content), why="it does not carry the mark ET12")
    program_bytes, base, segment_bytes = _header(content)
    if min(len(content), program_bytes) < _HEADER_END or base + segment_bytes > len(content) or program_bytes > (base or len(content)):
        raise _damaged(path, f"its header speaks of {max(program_bytes, base + segment_bytes)} bytes, there are {len(content)}")
    try:
        program = _without_nulls(_parse(content[:program_bytes]))
        segments = tuple((base + int(s.offset), int(s.size)) for s in program.segments)
        fault = _fault(program, segments, base, base + segment_bytes)
    except Exception as error:  # the reader follows offsets unchecked: a damaged file ends in any of a dozen exceptions
        raise _damaged(path, f"{type(error).__name__} while reading its tables") from error
    if fault:
        raise _damaged(path, fault)
    return PteFile(content=content, program=program, program_bytes=program_bytes, segments=segments)


def _header(content: bytes) -> tuple[int, int, int]:
    """Return the size of the flatbuffer, where segments begin, and their size; without segments there is no header."""
    if content[_HEADER_AT : _HEADER_AT + 4] != _HEADER_MAGIC:
        return len(content), 0, 0
    words = (content[_HEADER_AT + 8 + 8 * i : _HEADER_AT + 16 + 8 * i] for i in range(3))
    program_bytes, base, segment_bytes = (int.from_bytes(word, "little") for word in words)
    return program_bytes, base, segment_bytes


def _damaged(path: Path, why: str) -> ArtifactError:
    return ArtifactError(f"{path.name} is truncated or damaged", why=why, hint="export it again, or copy it again")


def _parse(flatbuffer: bytes) -> Any:
    with quiet():  # importing ExecuTorch complains about optional libraries
        from executorch.exir._serialize._flatbuffer_program import _flatbuffer_to_program

    return _flatbuffer_to_program(flatbuffer)


def _without_nulls(program: Any) -> Any:
    """Make absent tables empty ones."""
    _fill(program, ("execution_plan", "segments", "named_data", "mutable_data_segments", "backend_delegate_data"))
    for plan in program.execution_plan:
        _fill(plan, ("values", "inputs", "outputs", "chains", "operators", "delegates"))
        for chain in plan.chains:
            _fill(chain, ("instructions",))
    return program


def _fill(owner: Any, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(owner, name) is None:
            setattr(owner, name, [])


def _fault(program: Any, segments: tuple[tuple[int, int], ...], base: int, end: int) -> str | None:
    """Return what points outside its table, or ``None``."""
    if not program.execution_plan:
        return "it has no method"
    if any(offset < base or size < 0 or offset + size > end for offset, size in segments):
        return "a segment lies outside the file"
    named = program.named_data
    subsegments = [s for s in (program.constant_segment, *program.mutable_data_segments) if s is not None and s.offsets]
    if any(not 0 <= entry.segment_index < len(segments) for entry in (*named, *subsegments)):
        return "a table points to a segment that is not there"
    if any(not 0 <= offset <= segments[s.segment_index][1] for s in subsegments for offset in s.offsets):
        return "a constant lies outside its segment"
    return next((fault for plan in program.execution_plan if (fault := _plan_fault(plan, program, len(segments)))), None)


def _plan_fault(plan: Any, program: Any, segments: int) -> str | None:
    values = range(len(plan.values))
    for delegate in plan.delegates:
        place = delegate.processed
        if not 0 <= place.index < (segments if int(place.location) == 1 else len(program.backend_delegate_data)):
            return f"delegate {delegate.id} of method {plan.name} points to data that is not there"
    if any(index not in values for index in (*plan.inputs, *plan.outputs)):
        return f"method {plan.name} points to a value that is not there"
    for call in calls_of(plan):
        kind = type(call).__name__
        if any(index not in values for index in getattr(call, "args", None) or ()):
            return f"a call in method {plan.name} points to a value that is not there"
        if (kind == "KernelCall" and not 0 <= call.op_index < len(plan.operators)) or (
            kind == "DelegateCall" and not 0 <= call.delegate_index < len(plan.delegates)
        ):
            return f"a call in method {plan.name} points to an operator that is not there"
    return None


def calls_of(plan: Any) -> list[Any]:
    """Return a method's instructions in order: ``KernelCall``, ``DelegateCall``, ``MoveCall``, ``JumpFalseCall``, ``FreeCall``."""
    return [instruction.instr_args for chain in plan.chains for instruction in chain.instructions]
