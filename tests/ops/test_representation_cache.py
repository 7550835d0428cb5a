"""What is dropped goes home once, what stays moves on, and in the end everything is where it was."""

import torch

from edgekit.ops.representation_cache import RepresentationCache


def booleans(text: str) -> torch.Tensor:
    return torch.tensor([character == "1" for character in text])


def test_the_picture():
    cache = RepresentationCache(torch.arange(7.0)[:, None])  # class token 0, regions 1 to 6
    assert cache.active_regions().all()
    assert cache.keep(booleans("011010")).tolist() == [True, False, True, True, False, True, False]
    assert cache.active.flatten().tolist() == [0, 2, 3, 5]
    assert cache.active_regions().tolist() == booleans("011010").tolist()
    cache.active = cache.active + 10
    assert cache.at_home(torch.tensor([9.0, 8, 7, 6])).tolist() == [0, 8, 7, 0, 6, 0]
    cache.keep(booleans("101"))
    assert cache.active.flatten().tolist() == [10, 12, 15]
    cache.active = cache.active + 100
    assert cache.restored().flatten().tolist() == [110, 1, 112, 13, 4, 115, 6]


def test_dropping_all_leaves_the_class_token_and_dropping_none_changes_nothing():
    tokens = torch.randn(5, 3)
    cache = RepresentationCache(tokens)
    cache.keep(torch.ones(4, dtype=torch.bool))
    assert torch.equal(cache.active, tokens)
    cache.keep(torch.zeros(4, dtype=torch.bool))
    assert torch.equal(cache.active, tokens[:1])
    assert not cache.active_regions().any()
    cache.keep(torch.ones(0, dtype=torch.bool))
    assert torch.equal(cache.restored(), tokens)


def test_gradients_pass_through_each_token_once():
    tokens = torch.randn(4, 2, requires_grad=True)
    cache = RepresentationCache(tokens)
    cache.keep(booleans("010"))
    cache.active = cache.active * 3
    cache.restored().sum().backward()
    assert tokens.grad[:, 0].tolist() == [3, 1, 3, 1]
