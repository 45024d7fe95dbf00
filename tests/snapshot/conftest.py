from pathlib import Path

import pytest

from privacy_assets.snapshot import assets
from tests.house import House


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails would wait before it is tried again."""
    monkeypatch.setattr(assets, "_RETRY", None)


@pytest.fixture
def house(aws: str, unique: str, tmp_path: Path) -> House:
    return House.build(aws, unique, tmp_path)
