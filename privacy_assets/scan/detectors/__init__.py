"""What is looked for: every ``Detector`` that stands in a module of this package, found by looking.

To add one, add a module (or a row to ``tokens``) and its examples; there is no list to edit. Each module says
which rule it implements and who publishes it. What detectors are made of is in ``shape``.
"""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType

from privacy_assets.scan.detectors.shape import Confidence, Detector, Severity

__all__ = ["ALL", "REQUIRED", "Confidence", "Detector", "Severity"]

REQUIRED = ("ssn", "credit_card", "aws_access_key_id", "aws_secret_access_key", "email", "us_phone")
"""The detectors that every scan has."""


def _discovered() -> Iterator[Detector]:
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        for value in vars(import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, Detector):
                yield value
            elif isinstance(value, tuple):
                yield from (item for item in value if isinstance(item, Detector))


def _by_name() -> Mapping[str, Detector]:
    detectors: dict[str, Detector] = {}
    for detector in _discovered():
        if detectors.setdefault(detector.name, detector) is not detector:
            raise ValueError(f"two detectors are named {detector.name!r}, expected one")
    return MappingProxyType(detectors)


ALL: Mapping[str, Detector] = _by_name()
"""Every detector by its name."""
