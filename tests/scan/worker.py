"""A process that scans a bucket, for tests that kill it: ``python -m tests.scan.worker '{…}'``."""

import json
import sys
from pathlib import Path

from tests.house import House
from tests.scan.test_assets import Scans


def main() -> None:
    """One run of the scan's job."""
    said = json.loads(sys.argv[1])
    house = House.build(said["endpoint"], said["unique"], Path(said["folder"]))
    Scans(house, said["bucket"]).scan("job")


if __name__ == "__main__":
    main()
