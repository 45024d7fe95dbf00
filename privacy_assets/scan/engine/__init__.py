"""Finds what detectors describe, in text of any length: ``Scanner``. How, ``scanner`` says."""

from privacy_assets.scan.engine.findings import Finding
from privacy_assets.scan.engine.scanner import Scanner

__all__ = ["Finding", "Scanner"]
