"""Other people's test vectors, where the folder is at hand; a test that needs them is skipped without."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "ledger"

needed = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no vectors: expected {FOLDER.parent.parent.name}/vectors/ledger beside the clone",
)
