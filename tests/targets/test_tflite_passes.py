"""litert_torch's second trace is left out where the file stays the same, and only there."""

import pytest
import torch
from torch import Tensor, nn

from edgekit.targets.tflite import passes


class _Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.head = nn.Linear(8, 5)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.nn.functional.gelu(self.stem(image))
        x = x + self.depthwise(x)
        return self.head(x.mean((2, 3)))


class _Pooled(_Convolutions):
    def forward(self, image: Tensor) -> Tensor:
        return self.head(torch.nn.functional.avg_pool2d(self.stem(image), 8).flatten(1))


class _Enlarged(_Convolutions):
    def forward(self, image: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(self.stem(image), scale_factor=2.0, mode="bilinear")


class _Raised(_Convolutions):
    def forward(self, image: Tensor) -> Tensor:
        return self.stem(image).unsqueeze(0).permute(1, 0, 2, 3, 4).squeeze(1)


def _lowered(network: nn.Module) -> list[str]:
    """Return the operators of a network as they are lowered: after the passes, decomposed."""
    from litert_torch import fx_infra

    program = passes.run_passes(torch.export.export(network.eval(), (torch.zeros(1, 3, 8, 8),)))
    program = fx_infra.safe_run_decompositions(program, fx_infra.decomp.pre_lower_decomp(), can_skip=False)
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize(("network", "traces"), [(_Convolutions, 0), (_Pooled, 1), (_Enlarged, 1), (_Raised, 1)])
def test_second_trace_is_left_out_only_where_the_graph_stays_the_same(network: type[nn.Module], traces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from litert_torch._convert import fx_passes

    traced: list[None] = []
    call = fx_passes.CanonicalizePass.call
    monkeypatch.setattr(fx_passes.CanonicalizePass, "call", lambda self, program: traced.append(None) or call(self, program))
    chosen = _lowered(network())
    assert len(traced) == traces
    monkeypatch.setattr(passes, "_can_wait", lambda _: False)
    assert chosen == _lowered(network())
    assert len(traced) == traces + 1
