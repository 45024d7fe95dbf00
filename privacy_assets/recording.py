"""What an asset did, as an event of the ledger: the fields that every run fills alike.

The event itself belongs to the asset that did it; how the ledger keeps it, to ``privacy_assets.ledger``.
"""

import hashlib
from importlib.metadata import version
from typing import Any

import dagster as dg
import rfc8785

from privacy_assets.estate import Estate
from privacy_assets.ledger import Event


def event(
    context: dg.OpExecutionContext | dg.AssetExecutionContext, estate: Estate, kind: str, **fields: Any
) -> Event:
    """An event of this run. Its config hash is over the estate and the run's config: what it was told."""
    config = {"estate": estate.model_dump(mode="json"), "run": dict(context.run.run_config)}
    return Event(
        kind,
        **{
            "actor": "privacy-assets",
            "run_id": context.run.run_id,
            "code_version": version("privacy-assets"),
            "config_hash": hashlib.sha256(rfc8785.dumps(config)).hexdigest(),
            **fields,
        },
    )


def name(context: dg.OpExecutionContext | dg.AssetExecutionContext, act: str) -> str:
    """The name under which a step logs ``act`` once, however often it calls; a retry is another act."""
    return f"{context.run.run_id}/{act}/{context.retry_number}"
