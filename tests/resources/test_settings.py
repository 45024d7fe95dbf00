"""Each variable is declared once, documented, and refused when it can't be what it should."""

import re
from pathlib import Path

import dagster as dg
import pytest

from resources import settings

PROJECT = Path(__file__).parents[2]


def test_the_page_is_the_one_that_is_printed() -> None:
    page = (PROJECT / "docs" / "settings.md").read_text()
    assert page == settings.documentation(), "print it again: python -m resources.settings > docs/settings.md"
    assert all(f"`{setting.name}`" in page for setting in settings.ALL)


def test_no_variable_of_ours_is_read_elsewhere() -> None:
    declared = {setting.name for setting in settings.ALL}
    for package in ("privacy_assets", "resources", "sensors", "schedules"):
        for path in (PROJECT / package).rglob("*.py"):
            found = set(re.findall(r"PRIVACY_ASSETS_[A-Z_]*[A-Z]", path.read_text()))
            assert found <= declared, f"{path}: {found - declared}"


def test_a_setting_is_its_variable_or_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = settings.LAKE_BUCKET
    monkeypatch.delenv(setting.name, raising=False)
    assert (setting.value(), setting.source()) == ("privacy-lake", "privacy-lake")
    monkeypatch.setenv(setting.name, "")
    assert setting.value() == "privacy-lake"
    monkeypatch.setenv(setting.name, "mine")
    assert setting.value() == "mine"
    assert isinstance(setting.source(), dg.EnvVar), "it must be read when the run starts, not when this loads"


def test_every_number_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.check()
    numbers = [s for s in settings.ALL if s.is_number]
    assert {s.name for s in settings.ALL if s.name.endswith("_SECONDS")} <= {s.name for s in numbers}
    for setting in numbers:
        with monkeypatch.context() as patch:
            patch.setenv(setting.name, "abc")
            with pytest.raises(settings.SettingError, match=f"{setting.name}: 'abc', expected a number"):
                settings.check()


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_number_that_is_none_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(settings.SENSOR_SECONDS.name, text)
    with pytest.raises(
        settings.SettingError, match=rf"PRIVACY_ASSETS_SENSOR_SECONDS: '{text}', expected a number"
    ):
        settings.SENSOR_SECONDS.number()
