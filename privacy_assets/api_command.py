"""``privacy-assets api`` serves the HTTP API; ``privacy-assets client`` keeps the programs that may call it.

A client's secret is printed by ``client secret`` alone, for whoever asks for it by name.

What these commands do is in the ledger. A client is made only while the ledger can be reached; a secret is
rotated and a client revoked in any case, and what was done then waits until it can be logged.
"""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from privacy_assets.errors import UserError

if TYPE_CHECKING:
    from privacy_assets.ledger import Event, Log
    from resources.api_secrets import ApiSecrets


client_app = typer.Typer(
    help="Programs that may call the API: who they are, what they may do, their secrets.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_Id = Annotated[str, typer.Argument(metavar="CLIENT", help="The client's id.")]


def api(
    host: Annotated[str, typer.Option(help="Address to listen at; the loopback unless told.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
) -> None:
    """Serve the HTTP API until Ctrl-C: tokens, events, scans, requests of subjects; its documentation is at
    /docs.

    Talks to the AWS of the environment: the account of your profile, or local AWS after
    `eval $(privacy-assets aws env)`. Logs JSON lines to stderr.

    Examples:

        privacy-assets api

        privacy-assets api --host 0.0.0.0 --workers 4
    """
    from privacy_assets.api.rotation import ensure_keys
    from privacy_assets.api.server import serve
    from privacy_assets.machine.stack import require_free
    from privacy_assets.query import require_aws
    from resources.api_secrets import ApiSecrets

    require_aws()
    if host == "127.0.0.1":
        require_free(port)
    ensure_keys(ApiSecrets.from_settings())
    serve(host, port, workers)


@client_app.command("create")
def create(
    client_id: _Id,
    scope: Annotated[
        list[str], typer.Option("--scope", metavar="SCOPE", help="What it may do. May be repeated.")
    ],
    bucket: Annotated[
        list[str] | None,
        typer.Option("--bucket", metavar="BUCKET", help="Confine it to this bucket. May be repeated."),
    ] = None,
    oidc: Annotated[
        bool,
        typer.Option("--oidc", help="Its tokens come from the OIDC issuer; it gets no secret of ours."),
    ] = False,
) -> None:
    """Make a client. Its secret goes into Secrets Manager, for its program to read; it is not printed.

    Nothing is made while the ledger, which will say who made it, can't be reached.

    Scopes:

    - `events:write`: send events

    - `scans:write`: start scans

    - `scans:read`: read scans and what they found

    - `dsar:write`: submit requests of subjects

    - `dsar:read`: read its own requests and their bundles

    - `dsar:approve`: approve and reject requests of subjects, whoever submitted them

    Examples:

        privacy-assets client create shop --scope events:write

        privacy-assets client create desk --scope dsar:write --scope dsar:read

        privacy-assets client create reports --scope scans:read --bucket my-bucket
    """
    from privacy_assets.api.rotation import create_client, ensure_keys

    with _secrets() as secrets:
        _require_ledger()
        made = create_client(secrets, client_id, scope, bucket, is_oidc=oidc, says=_says)
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"{client_id}: made; it may {', '.join(made.scopes)}")
        if not oidc:
            console.print(f"its secret: {secrets.name_of(client_id)} in Secrets Manager", style="dim")
        _tell(secrets, key_made=ensure_keys(secrets))


@client_app.command("list")
def list_clients(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """All clients: scopes, buckets, how long their secrets are valid. Secrets are not shown.

    Example:

        privacy-assets client list
    """
    from privacy_assets.api.clients import parse_registry

    with _secrets() as secrets:
        found = parse_registry(secrets.registry()).clients.values()
    if as_json:
        document = [
            {
                "client_id": one.id,
                "scopes": one.scopes,
                "buckets": one.buckets,
                "oidc": one.is_oidc,
                "secrets": [
                    {"created_at": each.created_at.isoformat(), "not_after": each.not_after.isoformat()}
                    for each in one.secrets
                ],
            }
            for one in found
        ]
        typer.echo(json.dumps(document, indent=2))
        return
    shown = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("client", "scopes", "buckets", "newest secret", "older one valid until"):
        shown.add_column(name, overflow="fold")
    now = datetime.now(UTC)
    for one in found:
        newest = f"{one.secrets[0].created_at:%Y-%m-%d}" if one.secrets else "the OIDC issuer's"
        older = [each for each in one.secrets[1:] if each.not_after > now]
        until = f"{older[0].not_after:%Y-%m-%d}" if older else ""
        shown.add_row(one.id, " ".join(one.scopes), ", ".join(one.buckets or ("all",)), newest, until)
    Console().print(shown)


@client_app.command("secret")
def secret(
    client_id: _Id,
    env: Annotated[bool, typer.Option("--env", help="As lines for `eval` in a shell.")] = False,
) -> None:
    """Print a client's id and secret as JSON. They are then on your screen, unless something reads them.

    Examples:

        eval $(privacy-assets client secret local --env)

        privacy-assets client secret shop > shop.json
    """
    with _secrets() as secrets:
        text = secrets.client_secret(client_id)
    if not text:
        raise UserError(f"{client_id}: has no secret here, expected a client that `client list` names")
    if not env:
        typer.echo(text)
        return
    from resources.settings import PREFIX

    said = json.loads(text)
    typer.echo(f"export {PREFIX}CLIENT_ID={shlex.quote(said['client_id'])}")
    typer.echo(f"export {PREFIX}CLIENT_SECRET={shlex.quote(said['client_secret'])}")


@client_app.command("rotate")
def rotate(
    client_id: Annotated[
        list[str] | None,
        typer.Argument(metavar="CLIENT…", help="Which; all that are due if none is named."),
    ] = None,
    drop_old: Annotated[
        bool,
        typer.Option("--drop-old", help="The secret before is not valid any more, if it is known to others."),
    ] = False,
) -> None:
    """Give clients a new secret; the one before stays valid for 29 days, so that nobody is refused.

    Rotation runs by itself every day for what is 30 days old (the job `rotate_secrets`).

    Examples:

        privacy-assets client rotate

        privacy-assets client rotate shop --drop-old
    """
    from privacy_assets.api.rotation import Rotation, revoke_old_secret

    console = Console(stderr=True, highlight=False)
    with _secrets() as secrets:
        rotation = Rotation(secrets, says=_says)
        wanted = client_id or rotation.due()
        if not wanted:
            console.print("no client is due")
            return
        with console.status("every process of the API learns of the new secrets"):
            done = rotation.rotate(wanted)
        for one in wanted:
            if one in done:
                console.print(f"{one}: has a new secret")
            else:
                console.print(f"{one}: two secrets are valid, no third was made", style="yellow")
            if drop_old and revoke_old_secret(secrets, one, says=_says):
                console.print(f"{one}: the secret before is not valid any more")
        _tell(secrets)
    if client_id and len(done) < len(wanted) and not drop_old:
        raise typer.Exit(1)


@client_app.command("revoke")
def revoke(client_id: _Id) -> None:
    """Take a client away: no secret and no token of it is valid any more, in half a minute at most.

    In an hour at most where the API can't read Secrets Manager. What a `create` that was broken off has left
    is taken away, too.

    Example:

        privacy-assets client revoke shop
    """
    from privacy_assets.api.rotation import revoke_client

    with _secrets() as secrets:
        revoke_client(secrets, client_id, says=_says)
        Console(stderr=True, highlight=False).print(f"{client_id}: revoked")
        _tell(secrets)


def _says(kind: str, **fields: Any) -> "Event":
    """An event of what is done here; the actor is who is logged in, masked."""
    from privacy_assets.ledger import Event
    from privacy_assets.login import login
    from privacy_assets.masking import mask

    return Event(kind, f"command:{mask(login())}", **fields)


def _require_ledger() -> None:
    """Raises UserError when nothing could be logged now."""
    with _ledger() as log:
        log.open()


def _tell(secrets: "ApiSecrets", *, key_made: bool = False) -> None:
    """Log what waits for it. Ends with 1 when it goes on waiting."""
    from privacy_assets.api.rotation import tell, tell_key

    try:
        with _ledger() as log:
            tell(secrets, log)
            if key_made:
                tell_key(secrets, log, _says, made=True)
    except UserError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"{error}; it is done, and logged by the next of these commands that can, or by the daily job",
            style="yellow",
            markup=False,
        )
        raise typer.Exit(1) from None


@contextmanager
def _ledger() -> "Iterator[Log]":
    """The estate's ledger. Raises UserError when it can't be reached."""
    from privacy_assets.failures import explain
    from privacy_assets.ledger import open_log
    from privacy_assets.ledger.log import LedgerBusy, LedgerDamaged
    from privacy_assets.ledger_command import own_ledger
    from resources.clients import troubles

    unlogged: tuple[type[Exception], ...] = (LedgerBusy, LedgerDamaged, *troubles())
    try:
        yield open_log(own_ledger())
    except unlogged as error:
        raise UserError(f"nothing can be logged in the ledger now: {explain(error)}") from None


@contextmanager
def _secrets() -> "Iterator[ApiSecrets]":
    from privacy_assets.api.clients import RegistryError
    from privacy_assets.query import require_aws
    from resources.api_secrets import ApiSecrets, SecretsFull

    require_aws()
    try:
        yield ApiSecrets.from_settings()
    except (RegistryError, SecretsFull) as error:
        raise UserError(str(error)) from None
