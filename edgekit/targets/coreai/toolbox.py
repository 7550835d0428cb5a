"""The one place that imports Core AI's packages, which warn on import and reach the user's terminal from C++ and Swift."""

from typing import Any

from attrs import frozen

from edgekit.quiet import quiet


@frozen(kw_only=True)
class Toolbox:
    """What edgekit uses of ``coreai-torch`` and ``coreai-core``, under their own names."""

    TorchConverter: Any
    get_decomp_table: Any
    AIModelAsset: Any
    NDArray: Any
    PassManager: Any
    ir: Any


def coreai() -> Toolbox:
    """Return Core AI's tools; nothing they say on import is shown."""
    with quiet():
        from coreai._compiler import ir
        from coreai._compiler.passmanager import PassManager
        from coreai.authoring import AIModelAsset
        from coreai.runtime import NDArray
        from coreai_torch import TorchConverter, get_decomp_table
        from coreai_torch._compression import custom_layers  # noqa: F401  it registers the operators of stored weights
    return Toolbox(
        TorchConverter=TorchConverter,
        get_decomp_table=get_decomp_table,
        AIModelAsset=AIModelAsset,
        NDArray=NDArray,
        PassManager=PassManager,
        ir=ir,
    )
