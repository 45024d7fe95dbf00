"""``requests:`` in ``estate.yaml``: how requests of data subjects are worked on."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from privacy_assets.dsar.states import Action


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class RequestPolicy(BaseModel):
    """What must be approved by a person before it is done: ``export``, ``delete`` or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    approval: Annotated[tuple[Action, ...], BeforeValidator(_several)] = ()
