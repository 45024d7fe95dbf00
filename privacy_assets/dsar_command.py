"""``privacy-assets dsar``: requests of data subjects, submitted, looked at and decided on.

Only the words of the command line are imported with this module; the rest comes with the call.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from privacy_assets.errors import UserError

dsar_app = typer.Typer(
    help="Requests of data subjects: access and erasure, their state, their deadlines, their answers.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_Id = Annotated[
    str, typer.Argument(metavar="REQUEST", help="The request's id, as `submit` and `list` say it.")
]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document and nothing else.")]
_Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; without naming a person.")]
_By = Annotated[
    str,
    typer.Option(
        "--by", metavar="WHO", help="Who decides, as the ledger shall have it; your login if not told."
    ),
]


@dsar_app.command("submit")
def submit(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="`export` or `delete`.")] = "",
    user_id: Annotated[
        str,
        typer.Option("--user-id", metavar="ID", help="Who asks. `-` reads it from stdin, unseen by others."),
    ] = "",
    identifier: Annotated[
        list[str] | None,
        typer.Option(
            "--identifier", metavar="KIND=VALUE", help="More that the subject is known by. May be repeated."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", metavar="FILE", help="The request as JSON, as `POST /dsar` takes it; `-` is stdin."
        ),
    ] = None,
    jurisdiction: Annotated[str, typer.Option(metavar="CODE", help="Whose law: `DE`, `US-CA`.")] = "DE",
    channel: Annotated[
        str, typer.Option(metavar="HOW", help="How it came: `email`, `post`, `phone`…")
    ] = "api",
    verified: Annotated[
        str,
        typer.Option("--verified", metavar="METHOD", help="How identity was verified; an erasure needs it."),
    ] = "",
    received: Annotated[
        str, typer.Option("--received", metavar="TIME", help="When it came, from which deadlines count; now.")
    ] = "",
    as_json: _Json = False,
) -> None:
    """Record a request and have it worked on.

    What names the subject is kept encrypted, and only while it is worked on. Values on a command line are
    seen by whoever may list processes: `--file` and `--user-id -` keep them from there.

    Examples:

        privacy-assets dsar submit export --user-id customer-17 --jurisdiction US-CA

        privacy-assets dsar submit delete --user-id - --identifier email=jane@example.com --verified login

        privacy-assets dsar submit --file request.json --json
    """
    import uuid

    from privacy_assets.dsar.requests import JobId, parse_submission

    if file is not None:
        if action or user_id or identifier:
            raise UserError("--file: expected it alone; the file says it all")
        document = _document(file)
    else:
        document = {
            "action": action,
            "user_id": sys.stdin.readline().strip() if user_id == "-" else user_id,
            "identifiers": _identifiers(identifier or ()),
            "jurisdiction": jurisdiction,
            "channel": channel,
            "identity": {"verified": bool(verified), "method": verified},
            **({"received_at": received} if received else {}),
        }
    submission = parse_submission(document)
    job = _register().submit(submission, _who(), JobId(f"dsar-{uuid.uuid4().hex}"))
    if as_json:
        _print_json({"jobId": job["job_id"], "state": job["state"], "due": job["due"]})
    else:
        typer.echo(f"{job['job_id']}: {job['state']}, due {job['due']}")


def _document(file: Path) -> Any:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no JSON"
        raise UserError(f"{file}: {why}, expected a request as JSON") from None


def _identifiers(given: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in given:
        kind, equals, value = each.partition("=")
        if not (kind and equals and value):
            raise UserError("--identifier: expected KIND=VALUE, such as email=jane@example.com")
        found.setdefault(kind, []).append(value)
    return found


@dsar_app.command("list")
def list_requests(
    state: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help="Only requests in this state.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that have ended, and whose partition is retired.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Requests, the earliest due first; only those that are open, unless told.

    Examples:

        privacy-assets dsar list

        privacy-assets dsar list --state BLOCKED --json
    """
    from privacy_assets.dsar.states import FINAL, State
    from privacy_assets.dsar.view import summary
    from privacy_assets.dsar.watch import standing

    wanted = {each.upper() for each in state or ()}
    if unknown := wanted - set(State):
        raise UserError(f"--state {min(unknown)}: expected one of {', '.join(State)}")
    register = _register()
    found = (
        sorted(register.jobs.all(), key=lambda job: (job["due"], job["job_id"]))
        if everything or wanted & FINAL
        else standing(register)
    )
    shown = [summary(job) for job in found if not wanted or job["state"] in wanted]
    if as_json:
        _print_json(shown)
        return
    rows = [
        (row["jobId"], row["action"], row["state"], row["due"], row.get("reason", ""), row["jurisdiction"])
        for row in shown
    ]
    _print_table(("request", "action", "state", "due", "reason", "law of"), rows)
    typer.echo(f"{len(rows):,} requests")


@dsar_app.command("show")
def show(request: _Id, as_json: _Json = False) -> None:
    """One request: its state, its clock, what each store gave or lost, its events in the ledger.

    Example:

        privacy-assets dsar show dsar-0123456789abcdef0123456789abcdef
    """
    from privacy_assets.dsar.view import detail

    job = _register().get(request)
    found = {**detail(job), "events": _events(request)}
    if as_json:
        _print_json(found)
        return
    facts = [(name, _said(value)) for name, value in found.items() if name not in ("stores", "events")]
    _print_table(("", ""), facts)
    columns = ("state", "records", "before", "erased", "changed", "after", "error")
    stores = [(each["store"], *(_said(each.get(name)) for name in columns)) for each in found["stores"]]
    _print_table(("store", *columns), stores)
    rows = [
        (str(each["leaf"]), each["at"], each["type"], each["actor"], _said(each.get("counts")))
        for each in found["events"]
    ]
    _print_table(("leaf", "at", "event", "by", "counts"), rows)


@dsar_app.command("approve")
def approve(
    request: _Id,
    reject: Annotated[
        bool, typer.Option("--reject", help="Refuse it; the answer to the subject must say why.")
    ] = False,
    reason: _Reason = "",
    by: _By = "",
    as_json: _Json = False,
) -> None:
    """Let an erasure go on that waits for approval, or refuse a request with `--reject --reason TEXT`.

    Examples:

        privacy-assets dsar approve dsar-0123456789abcdef0123456789abcdef

        privacy-assets dsar approve dsar-0123456789abcdef0123456789abcdef --reject --reason "no such customer"
    """
    register = _register()
    who = by or _who()
    _tell(register.reject(request, who, reason) if reject else register.approve(request, who), as_json)


@dsar_app.command("retry")
def retry(request: _Id, by: _By = "", as_json: _Json = False) -> None:
    """Make a new attempt at a request that failed or is blocked; what is done is not done again.

    Example:

        privacy-assets dsar retry dsar-0123456789abcdef0123456789abcdef
    """
    _tell(_register().retry(request, by or _who()), as_json)


@dsar_app.command("extend")
def extend(request: _Id, reason: _Reason = "", by: _By = "", as_json: _Json = False) -> None:
    """Take the longer period that the law allows once; the subject must be told, and why.

    Example:

        privacy-assets dsar extend dsar-0123456789abcdef0123456789abcdef --reason "four systems"
    """
    _tell(_register().extend(request, by or _who(), reason), as_json)


@dsar_app.command("pause")
def pause(
    request: _Id,
    reason: _Reason = "",
    resume: Annotated[bool, typer.Option("--resume", help="Let the clock go on.")] = False,
    by: _By = "",
    as_json: _Json = False,
) -> None:
    """Stop a request's clock while the subject's identity is in doubt (GDPR Art. 12(6)), or let it go on.

    Examples:

        privacy-assets dsar pause dsar-0123456789abcdef0123456789abcdef --reason "asked for proof of identity"

        privacy-assets dsar pause dsar-0123456789abcdef0123456789abcdef --resume
    """
    register, who = _register(), by or _who()
    _tell(register.resume(request, who) if resume else register.pause(request, who, reason), as_json)


@dsar_app.command("acknowledge")
def acknowledge(request: _Id, by: _By = "", as_json: _Json = False) -> None:
    """Note that receipt was confirmed to the subject (11 CCR § 7021(a): within ten business days).

    Example:

        privacy-assets dsar acknowledge dsar-0123456789abcdef0123456789abcdef
    """
    _tell(_register().acknowledge(request, by or _who()), as_json)


def _resources() -> Any:
    from privacy_assets.definitions import ready
    from privacy_assets.dsar import composition
    from privacy_assets.query import require_aws

    require_aws()
    return ready(composition.RESOURCES)


def _register() -> Any:
    from privacy_assets.dsar import composition

    return composition.register(_resources())


def _events(request: str) -> list[dict[str, Any]]:
    from privacy_assets.dsar.view import events
    from privacy_assets.ledger import open_log

    return events(open_log(_resources().ledger), request)


def _who() -> str:
    """The login of who calls."""
    from privacy_assets.login import login

    return login()


def _tell(job: Mapping[str, Any], as_json: bool) -> None:
    from privacy_assets.dsar.view import summary

    if as_json:
        _print_json(summary(job))
    else:
        typer.echo(f"{job['job_id']}: {job['state']}, attempt {job['attempt']}, due {job['due']}")


def _said(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(header_style="bold", box=None, pad_edge=False, show_header=any(columns))
    for name in columns:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(str(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:  # a pipe has no width to fold at
        console = Console(width=32_000)
    console.print(shown)
