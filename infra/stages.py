"""The stages of ``stages.yaml``, and what each gives to every variable of ``resources.settings``."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resources import settings
from resources.provision import Place

FILE = Path(__file__).parent / "stages.yaml"
DEFAULT_ACCOUNT, DEFAULT_REGION = "123456789012", "us-east-1"
HOME = "/opt/privacy-assets"
"""Where the image has what is no package."""
NETWORK = "10.60.0.0/16"
"""The addresses of the network, the load balancer's among them."""
BUCKETS = tuple(setting.name for setting in settings.ALL if setting.name.endswith("_BUCKET"))


class StageError(ValueError):
    """``stages.yaml`` or the wish for a stage is wrong; the message says what was expected."""


class Stage(BaseModel):
    """One account and region that the product is deployed to.

    Zones are named, so that synthesis looks nothing up. ``bucket_suffix`` makes the buckets' names unique in
    the world; ``existing_tables`` maps governed tables that are not this deployment's to their streams.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: str = Field(pattern=r"^\d{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    zones: list[str] = Field(min_length=2, max_length=3)
    domain: str
    certificate: str
    alerts: list[str] = Field(min_length=1)
    bucket_suffix: str = "-{account}-{region}"
    monthly_budget: int = Field(default=2000, gt=0)
    athena_scan_limit_gb: int = Field(default=1000, gt=0)
    architecture: str = Field(default="ARM64", pattern="^(ARM64|X86_64)$")
    existing_tables: dict[str, str] = Field(default_factory=dict)
    variables: dict[str, str] = Field(default_factory=dict)

    @property
    def place(self) -> Place:
        return Place(self.account, self.region)

    def environment(self) -> dict[str, str]:
        """Every setting that is not empty, as this stage has it.

        Raises StageError for a variable in the stage's ``variables`` that the product does not know.
        """
        known = {setting.name for setting in settings.ALL}
        if unknown := sorted(set(self.variables) - known):
            raise StageError(
                f"stages.yaml: variables: {', '.join(unknown)}: no such variable, see docs/settings.md"
            )
        values = {setting.name: self._value(setting) for setting in settings.ALL}
        values[settings.RUN_ROLES.name] = f"arn:aws:iam::{self.account}:role/privacy-run-"
        values[settings.SHARDS.name] = "ecs"
        # The load balancer, whose addresses change; it alone reaches the API's port.
        values[settings.API_PROXIES.name] = NETWORK
        # The image's own: what is governed is part of a release.
        values[settings.ESTATE.name] = f"{HOME}/estate.yaml"
        values[settings.AUDITS.name] = f"{HOME}/audits"
        values.update(self.variables)
        return {name: value for name, value in values.items() if value}

    def _value(self, setting: settings.Setting) -> str:
        text = setting.default.replace(DEFAULT_ACCOUNT, self.account).replace(DEFAULT_REGION, self.region)
        if setting.name in BUCKETS:
            return text + self.bucket_suffix.format(account=self.account, region=self.region)
        return text

    @contextmanager
    def in_environment(self) -> Iterator[None]:
        """The product's settings are this stage's for the length of the block, but for the image's files."""
        before = {setting.name: os.environ.pop(setting.name, None) for setting in settings.ALL}
        files = (settings.ESTATE.name, settings.AUDITS.name)
        os.environ.update({name: value for name, value in self.environment().items() if name not in files})
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def load() -> Mapping[str, Stage]:
    """All stages of FILE. Raises StageError."""
    document = yaml.safe_load(FILE.read_text())
    if not isinstance(document, dict) or not document:
        raise StageError(f"{FILE.name}: expected stages by name")
    stages = {}
    for name, entry in document.items():
        try:
            stages[str(name)] = Stage.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise StageError(f"{FILE.name}: {name}.{where}: {first['msg']}") from None
    return stages


def chosen(name: str | None) -> Mapping[str, Stage]:
    """The stage called ``name``, or all. Raises StageError."""
    stages = load()
    if name is None:
        return stages
    if name not in stages:
        raise StageError(f"no stage {name!r} in {FILE.name}, expected one of {', '.join(stages)}")
    return {name: stages[name]}
