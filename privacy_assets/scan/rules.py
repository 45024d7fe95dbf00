"""What a scan goes by: which detectors, whose own ones, and what is known and accepted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from privacy_assets.errors import UserError
from privacy_assets.scan.custom import AllowList, load_custom
from privacy_assets.scan.detectors import ALL, Detector
from privacy_assets.scan.engine import Scanner
from privacy_assets.scan.plan import Rules
from privacy_assets.scan.reading import VERSION


@dataclass(frozen=True)
class RuleSet:
    """The rules of one scan: all ``detectors`` compete, ``only`` some of them are reported."""

    detectors: Sequence[Detector]
    allow: AllowList | None = None
    only: Collection[str] | None = None

    @property
    def rules(self) -> Rules:
        """What a later scan compares."""
        chosen = [one for one in self.detectors if self.only is None or one.name in self.only]
        allow = self.allow.fingerprint if self.allow else ""
        return Rules({one.name: one.version for one in chosen}, allow, VERSION)

    @property
    def titles(self) -> Mapping[str, str]:
        """What each detector finds, in words."""
        return {detector.name: detector.title for detector in self.detectors}

    def scanner(self) -> Scanner:
        """A scanner by these rules."""
        return Scanner(self.detectors, only=self.only, allow=self.allow)


def load_rules(path: Path | None, only: Sequence[str] = ()) -> RuleSet:
    """The built-in detectors and what the file at ``path`` adds; to report all, or ``only`` some.

    Raises CustomError for a file that can't be used, with the line, and UserError for detectors that there
    are none of.
    """
    detectors, allow = tuple(ALL.values()), None
    if path is not None:
        custom = load_custom(path)
        detectors, allow = (*detectors, *custom.detectors), custom.allow
    names = sorted(detector.name for detector in detectors)
    for name in only:
        if name not in names:
            raise UserError(f"--detectors: {name!r}, expected some of {', '.join(names)}")
    return RuleSet(detectors, allow, frozenset(only) or None)
