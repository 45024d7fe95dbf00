"""The job that rotates the API's secrets and keys: Secrets Manager's four steps, a step each."""

from functools import partial
from typing import Any

import dagster as dg

from privacy_assets.api.clients import OLD_SECRET, parse_registry
from privacy_assets.api.rotation import Rotation, tell, tell_key
from privacy_assets.api.tokens import OLD_KEY
from privacy_assets.estate import Estate
from privacy_assets.ledger import open_log
from privacy_assets.recording import event
from privacy_assets.tasks import task_tags
from resources.api_secrets import ApiSecrets
from resources.api_state import ApiState
from resources.ledger import LedgerResource

Secrets = dg.ResourceParam[ApiSecrets]
State = dg.ResourceParam[ApiState]
ROTATE_SECRETS = "rotate_secrets"
_RETRY = dg.RetryPolicy(max_retries=2, delay=15, backoff=dg.Backoff.EXPONENTIAL)


def rotation_job(estate: Estate) -> dg.JobDefinition:
    """``rotate_secrets``: what is 30 days old is replaced; what was before stays valid meanwhile."""

    @dg.op(retry_policy=_RETRY, description="New secrets beside the old, which nobody reads yet.")
    def create_secret(context: dg.OpExecutionContext, api_secrets: Secrets) -> list[str]:
        rotation = Rotation(api_secrets)
        due = rotation.able(rotation.due())
        rotation.create_secret(due)
        context.add_output_metadata({"clients": len(due)})
        return due

    @dg.op(retry_policy=_RETRY, description="Their hashes beside the old ones: both are valid.")
    def set_secret(context: dg.OpExecutionContext, due: list[str], api_secrets: Secrets) -> list[str]:
        if due:
            Rotation(api_secrets, says=partial(event, context, estate)).set_secret(due)
        return due

    @dg.op(retry_policy=_RETRY, description="They hold, once every process of the API has read them.")
    def test_secret(due: list[str], api_secrets: Secrets) -> list[str]:
        if due:
            rotation = Rotation(api_secrets)
            rotation.spread()
            rotation.test_secret(due)
        return due

    @dg.op(retry_policy=_RETRY, description="Programs read the new ones from now on.")
    def finish_secret(
        context: dg.OpExecutionContext,
        due: list[str],
        api_secrets: Secrets,
        api_state: State,
        ledger: LedgerResource,
    ) -> None:
        tell(api_secrets, open_log(ledger))  # what commands have left untold, too
        Rotation(api_secrets).finish_secret(due)
        table = dg.MetadataValue.md(_markdown(api_secrets, api_state))
        context.add_output_metadata({"clients": len(due), "secrets": table})

    @dg.op(retry_policy=_RETRY, description="A new signing key, which signs once every process knows it.")
    def rotate_signing_key(
        context: dg.OpExecutionContext, api_secrets: Secrets, api_state: State, ledger: LedgerResource
    ) -> None:
        made = Rotation(api_secrets).rotate_keys()
        # Also one that a broken run had made.
        tell_key(api_secrets, open_log(ledger), partial(event, context, estate), made=made)
        context.add_output_metadata({"new_key": made, "uses_of_older_keys": api_state.used(OLD_KEY)})

    @dg.job(
        name=ROTATE_SECRETS,
        description="Rotates secrets and signing keys of the API that are 30 days old. Nobody is refused.",
        executor_def=dg.in_process_executor,
        tags={"dagster/max_retries": 2, **task_tags(ROTATE_SECRETS)},
    )
    def rotate_secrets() -> Any:
        finish_secret(test_secret(set_secret(create_secret())))
        rotate_signing_key()

    return rotate_secrets


def _markdown(secrets: ApiSecrets, state: ApiState) -> str:
    """Every client's secrets; who goes on using an older one has not read the newest."""
    lines = [
        "| client | newest secret | valid until | older valid until | uses of an older one |",
        "|---|---|---|---|--:|",
    ]
    for client in parse_registry(secrets.registry()).clients.values():
        if client.secrets:
            newest, *older = client.secrets
            days = [newest.created_at, newest.not_after, *(one.not_after for one in older[:1])]
            cells = [client.id, *(f"{day:%Y-%m-%d}" for day in days), *([] if older else [""])]
            lines.append(f"| {' | '.join(cells)} | {state.used(OLD_SECRET + client.id):,} |")
    return "\n".join(lines)
