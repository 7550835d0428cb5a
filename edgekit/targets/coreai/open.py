"""Opens an ``.aimodel`` in the runtime that ``coreai-core`` brings, and runs it: reference arithmetic on one core, not an iPhone's speed."""

import asyncio
import contextlib
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import ArtifactError, EdgekitError, UsageError
from edgekit.interface import MethodSpec
from edgekit.quiet import quiet
from edgekit.targets.base import Array
from edgekit.targets.calls import check_inputs, find_method
from edgekit.targets.coreai.asset import read_asset
from edgekit.targets.coreai.graphs import load_program
from edgekit.targets.coreai.guard import require_readable
from edgekit.targets.coreai.methods import methods_of
from edgekit.targets.coreai.toolbox import coreai


class CoreAIExecutable:
    """An opened asset. One instance serves one thread.

    The runtime is asynchronous. Its calls are waited for in a thread of their own, so that this works in a notebook too,
    where an event loop is running already.
    """

    def __init__(self, path: Path, methods: tuple[MethodSpec, ...]) -> None:
        self.methods = methods
        self._tools = coreai()
        self._worker = _Worker()
        self._close = weakref.finalize(self, self._worker.close)
        self._functions = self._worker.run(self._load(self._tools.AIModelAsset.load(path.resolve())))

    async def _load(self, asset: Any) -> dict[str, Any]:
        model = await self._worker.stack.enter_async_context(asset.executable())
        return {method.name: model.load_function(method.name) for method in self.methods}

    def run(self, method: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run a method on arrays by input name; return fresh arrays by output name.

        :raises UnknownNameError: no such method. :raises BadInputError: other names, shapes or dtypes than its own.
        :raises ArtifactError: the runtime stopped.
        """
        spec = find_method(self.methods, method)
        check_inputs(spec, inputs)
        given = {name: self._tools.NDArray(np.ascontiguousarray(array)) for name, array in inputs.items()}
        try:
            with quiet():
                results = self._worker.run(self._functions[method](given))
        except Exception as error:
            raise ArtifactError(f"Core AI stopped while running {method}", why=" ".join(str(error).split())[:300]) from error
        return {tensor.name: np.array(results[tensor.name].numpy()) for tensor in spec.outputs}


class _Worker:
    """A thread with an event loop, and what the loop has to close in the end."""

    def __init__(self) -> None:
        self.stack = contextlib.AsyncExitStack()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgekit-coreai")
        self._loop = asyncio.new_event_loop()

    def run(self, awaitable: Any) -> Any:
        """Wait for an awaitable."""

        async def wait() -> Any:
            return await awaitable

        return self._thread.submit(lambda: self._loop.run_until_complete(wait())).result()

    def close(self) -> None:
        """Free the model and end the thread."""
        self._thread.submit(self._finish)
        self._thread.shutdown(wait=False)

    def _finish(self) -> None:
        self._loop.run_until_complete(self.stack.aclose())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


def open_asset(path: Path, *, threads: int = 1) -> CoreAIExecutable:
    """Load an asset. The runtime takes no number of threads.

    :raises ArtifactError: missing, truncated, foreign, damaged, or with links.
    :raises UsageError: fewer than one thread.
    """
    if threads < 1:
        raise UsageError(f"threads is {threads}; a run takes at least 1")
    asset = read_asset(path)
    require_readable(asset)
    try:
        with quiet():
            return CoreAIExecutable(path, methods_of(load_program(path), asset.layouts))
    except EdgekitError:
        raise
    except Exception as error:  # the runtime's exceptions have no common base of their own
        raise ArtifactError(f"Core AI cannot load {path.name}", why=" ".join(str(error).split())[:300]) from error
