"""LiteRT's C interface through ctypes, as far as a profile of operators needs it: Python's has none.

``libLiteRt.so`` lies in the ``ai_edge_litert`` package and exports ``LiteRtCompiledModelGetProfiler`` and what belongs to it. Declarations:
``litert/c`` in https://github.com/google-ai-edge/LiteRT. An event holds ``tflite::profiling::memory::MemoryUsage`` twice, three words each on Linux
(the header for C declares two). Layouts may change with any release, and a wrong one ends the process, so only the version that
they were tried with is used.
"""

import contextlib
import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from attrs import frozen

from edgekit.bench.inputs import Array
from edgekit.errors import ArtifactError

VERIFIED = "2.3.0"
INVOKE = 1
OPERATOR = 2
"""An operator that LiteRT itself runs, or a delegate that tells nothing of its own; :attr:`Event.index` is its place in the file."""
INSIDE_DELEGATE = 4 | 8

_CPU = 1
_WRITE = 1
_TENSOR_TYPE_BYTES = 256  # more than LiteRtRankedTensorType has
_MEMORY = ctypes.c_int64 * 3


@frozen(kw_only=True)
class Event:
    """What ended within one run: ``kind`` is :data:`INVOKE`, :data:`OPERATOR`, a bit of :data:`INSIDE_DELEGATE` or something else."""

    tag: str
    kind: int
    us: int
    index: int


class _EventData(ctypes.Structure):
    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("event_type", ctypes.c_int),
        ("start_timestamp_us", ctypes.c_uint64),
        ("elapsed_time_us", ctypes.c_uint64),
        ("begin_mem_usage", _MEMORY),
        ("end_mem_usage", _MEMORY),
        ("event_metadata1", ctypes.c_uint64),
        ("event_metadata2", ctypes.c_uint64),
        ("event_source", ctypes.c_int),
    )


_keep = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
"""Frees nothing: Python owns the options' text."""


def missing() -> str | None:
    """Return why there is no profile here, or ``None`` where there is."""
    try:
        found = version("ai-edge-litert")
    except PackageNotFoundError:
        return "ai-edge-litert is not installed"
    if found != VERIFIED:
        return f"profiles are read through the C interface of ai-edge-litert {VERIFIED}, and {found} is installed"
    return None if _library_path() is not None else "ai-edge-litert has no libLiteRt.so for this system, and its Python interface offers no profile"


def _library_path() -> Path | None:
    spec = util.find_spec("ai_edge_litert")
    places = [Path(place) / "libLiteRt.so" for place in (spec.submodule_search_locations or ())] if spec else []
    return next((place for place in places if place.is_file()), None)


@contextlib.contextmanager
def profiled(content: bytes, method: str, inputs: Mapping[str, Array], threads: int) -> Iterator[Callable[[], Sequence[Event]]]:
    """Compile a method of verified ``content`` with profiling on; give a function that runs it once and returns the events, in order.

    :raises ArtifactError: LiteRT refuses a step.
    """
    with contextlib.ExitStack() as held:
        yield _Compiled(content, method, inputs, threads, held).run


class _Compiled:
    def __init__(self, content: bytes, method: str, inputs: Mapping[str, Array], threads: int, held: contextlib.ExitStack) -> None:
        self._library = ctypes.CDLL(str(_library_path()))
        self._held = held
        self._kept: list[object] = [buffer := ctypes.create_string_buffer(content, len(content))]
        environment = self._made("Environment", "CreateEnvironment", 0, None)
        model = self._made("Model", "CreateModelFromBuffer", environment, buffer, ctypes.c_size_t(len(content)))
        options = self._made("Options", "CreateOptions")
        self._call("SetOptionsHardwareAccelerators", options, _CPU)
        for identifier, text in (("xnnpack", f"num_threads = {threads}\n"), ("runtime_options_string", "enable_profiling = true\n")):
            self._add_options(options, identifier, text)
        self._model = self._made("CompiledModel", "CreateCompiledModel", environment, model, options)
        self._profiler = self._got("CompiledModelGetProfiler", self._model)
        self._number, signature = self._signature(model, method)
        self._inputs = self._buffers("Input", environment, signature)
        self._outputs = self._buffers("Output", environment, signature)
        names = self._names("Input", signature)
        for name, place in zip(names, self._inputs, strict=True):
            self._fill(ctypes.c_void_p(place), inputs[name])
        self._call("StopProfiler", self._profiler)

    def run(self) -> Sequence[Event]:
        self._call("ResetProfiler", self._profiler)
        self._call("StartProfiler", self._profiler)
        sizes = (ctypes.c_size_t(len(self._inputs)), ctypes.c_size_t(len(self._outputs)))
        self._call("RunCompiledModel", self._model, self._number, sizes[0], self._inputs, sizes[1], self._outputs)
        self._call("StopProfiler", self._profiler)
        number = ctypes.c_int()
        self._call("GetNumProfilerEvents", self._profiler, ctypes.byref(number))
        events = (_EventData * max(1, number.value))()
        self._call("GetProfilerEvents", self._profiler, number, events)
        return [
            Event(tag=(event.tag or b"").decode(errors="replace"), kind=event.event_type, us=event.elapsed_time_us, index=event.event_metadata1)
            for event in events[: number.value]
        ]

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, f"LiteRt{name}")(*arguments)
        if status:
            raise ArtifactError("LiteRT cannot profile the file", why=f"LiteRt{name} returned status {status}")

    def _got(self, name: str, *arguments: object) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._call(name, *arguments, ctypes.byref(handle))
        return handle

    def _made(self, kind: str, name: str, *arguments: object) -> ctypes.c_void_p:
        """Return a handle that is destroyed at the end, before those it was made from."""
        handle = self._got(name, *arguments)
        self._held.callback(getattr(self._library, f"LiteRtDestroy{kind}"), handle)
        return handle

    def _add_options(self, options: ctypes.c_void_p, identifier: str, text: str) -> None:
        payload = ctypes.create_string_buffer(text.encode())
        self._kept.append(payload)
        self._call("AddOpaqueOptions", options, self._got("CreateOpaqueOptions", identifier.encode(), payload, _keep))

    def _signature(self, model: ctypes.c_void_p, method: str) -> tuple[ctypes.c_size_t, ctypes.c_void_p]:
        number = ctypes.c_size_t()
        self._call("GetNumModelSignatures", model, ctypes.byref(number))
        for index in map(ctypes.c_size_t, range(number.value)):
            signature = self._got("GetModelSignature", model, index)
            if self._text("GetSignatureKey", signature) == method:
                return index, signature
        raise ArtifactError("LiteRT cannot profile the file", why=f"it has no signature {method}")

    def _text(self, name: str, *arguments: object) -> str:
        found = ctypes.c_char_p()
        self._call(name, *arguments, ctypes.byref(found))
        return (found.value or b"").decode(errors="replace")

    def _names(self, kind: str, signature: ctypes.c_void_p) -> list[str]:
        number = ctypes.c_size_t()
        self._call(f"GetNumSignature{kind}s", signature, ctypes.byref(number))
        return [self._text(f"GetSignature{kind}Name", signature, ctypes.c_size_t(index)) for index in range(number.value)]

    def _buffers(self, kind: str, environment: ctypes.c_void_p, signature: ctypes.c_void_p) -> "ctypes.Array[ctypes.c_void_p]":
        buffers = (ctypes.c_void_p * len(self._names(kind, signature)))()
        for index in range(len(buffers)):
            place = ctypes.c_size_t(index)
            tensor = self._got(f"GetSignature{kind}TensorByIndex", signature, place)
            tensor_type = ctypes.create_string_buffer(_TENSOR_TYPE_BYTES)
            self._call("GetRankedTensorType", tensor, tensor_type)
            required = self._got(f"GetCompiledModel{kind}BufferRequirements", self._model, self._number, place)
            made = self._made("TensorBuffer", "CreateManagedTensorBufferFromRequirements", environment, tensor_type, required)
            buffers[index] = made.value
        return buffers

    def _fill(self, buffer: ctypes.c_void_p, array: Array) -> None:
        values = np.ascontiguousarray(array)
        size = ctypes.c_size_t()
        self._call("GetTensorBufferPackedSize", buffer, ctypes.byref(size))
        if size.value != values.nbytes:
            raise ArtifactError("LiteRT cannot profile the file", why=f"an input has {size.value} bytes there, {values.nbytes} here")
        place = ctypes.c_void_p()
        self._call("LockTensorBuffer", buffer, ctypes.byref(place), _WRITE)
        ctypes.memmove(place, values.ctypes.data, values.nbytes)
        self._call("UnlockTensorBuffer", buffer)
