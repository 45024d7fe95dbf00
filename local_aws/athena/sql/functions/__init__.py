"""Trino's functions by name: one small rule each. Importing the package registers them all."""

import importlib

MODULES = (
    "aggregates", "arrays", "binary", "conditional", "dates", "formats", "json", "maps", "math", "regexp",
    "strings", "windows",
)  # fmt: skip

for _module in MODULES:
    importlib.import_module(f"{__name__}.{_module}")
