"""Settings for every test."""

import torch

# The tests' tensors are tiny: on a busy machine, waiting for a second thread takes a hundred times as long as the sum itself.
torch.set_num_threads(1)
