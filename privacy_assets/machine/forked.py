"""What a run has before it begins: imported by the process that runs are forked from, once, for its effect.

Much is imported only when the definitions are built, as a run builds them. Whatever is wrong with them is
told by the code server, which builds them too.
"""

from contextlib import suppress

import pyarrow.dataset
from dagster._core.definitions.reconstruct import ReconstructableRepository

__all__ = ["pyarrow"]

with suppress(Exception):
    ReconstructableRepository.for_module("privacy_assets.definitions", "defs").get_definition()
