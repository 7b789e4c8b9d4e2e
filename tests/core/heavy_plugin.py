"""A plugin whose module imports torch at once, which it should not."""

import torch

from triune import hookimpl


class Heavy:
    """Measure how many threads there are."""

    @hookimpl
    def measure(self):
        return {"threads": torch.get_num_threads()}
