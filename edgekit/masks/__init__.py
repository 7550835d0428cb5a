"""Boolean indices in a model's forward: captured with a fixed count, the count proved, everything else refused.

indexing.py     how PyTorch's ways to index by a mask come down to one: the places where it is true
watch.py        a mode that puts these in place of PyTorch's own while a model runs or is captured
counts.py       how many places of a mask are true, whatever its scores are, read off a captured graph
thresholds.py   how many of n distinct scores are beyond an order statistic of them
proof.py        each count that was assumed in capturing is proved, or refused with the user's line
captured.py     the steps in a row: notice, observe, capture, prove
"""
