"""``privacy-assets ledger``: verify the audit trail, show a request's events, prove one of them, copy it."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from privacy_assets.errors import UserError

if TYPE_CHECKING:
    from privacy_assets.ledger.checkpoint import Checkpoint
    from privacy_assets.ledger.log import Entry, Log
    from privacy_assets.ledger.note import Key
    from privacy_assets.ledger.verify import Report

PIPE_WIDTH = 32_000
_LATEST = 20

app = typer.Typer(
    help="The audit trail: verify it, show the events of a request, prove one.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_Json = Annotated[bool, typer.Option("--json", help="One JSON document and nothing else.")]
_Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--vkey",
        metavar="KEY",
        help="The log's key, `name+id+key`, as `ledger key` printed it. May be repeated.",
    ),
]


@app.command("verify")
def verify(
    place: Annotated[
        str | None,
        typer.Argument(
            metavar="[DIR|FILE|s3://…]",
            help="A copied folder, a `.tlog-proof` receipt, or the bucket and prefix of a log; the estate's "
            "own ledger, with its index, if not told.",
            show_default=False,
        ),
    ] = None,
    vkey: _Keys = None,
    since: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A checkpoint that you kept: nothing before it may have changed."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Verify every entry, hash and signature; each damage is a line.

    Ends with 0 when all is right, 1 when damage was found, 2 when it could not look. A folder and a receipt
    are verified without a network and without an account. Keep the `checkpoint` of today: given to `--since`
    next time it shows that nothing was rewritten since.

    Examples:

        privacy-assets ledger verify evidence/ --vkey "$KEY" --since checkpoint.of-last-year

        privacy-assets ledger verify s3://privacy-evidence/ledger --vkey "$KEY"

        privacy-assets ledger verify 1234.tlog-proof --vkey "$KEY"
    """
    keys = _parsed(vkey or ())
    if place is not None and not keys:
        raise UserError("--vkey: missing, expected the log's key as `privacy-assets ledger key` prints it")
    if place is not None and Path(place).is_file():
        raise typer.Exit(_verify_receipt(Path(place), keys, since, as_json=as_json))
    with _bar() as progress:
        report = _verified(place, keys, _kept(since, keys) if since else None, progress)
    raise typer.Exit(_print_report(report, as_json=as_json))


@app.command("show")
def show(
    request: Annotated[
        str | None,
        typer.Argument(
            metavar="[REQUEST]",
            help="A request's or job's id; the latest events if not told.",
            show_default=False,
        ),
    ] = None,
    as_json: _Json = False,
) -> None:
    """The events of a request, in the order in which they were logged.

    Examples:

        privacy-assets ledger show

        privacy-assets ledger show 0b9f2c4e-7d5d-4d52-9f0e-3d1c8a4f6b12 --json
    """
    log = _log()
    if request is not None:
        entries = log.entries(request)
        if not entries:
            raise UserError(f"{request!r}: nothing is logged of it, expected a request's or job's id")
    else:
        head = log.checkpoint()
        entries = log.read(range(max(0, head.size - _LATEST), head.size)) if head else []
    if as_json:
        _print_json([{"leaf": entry.index, **json.loads(entry.leaf)} for entry in entries])
    else:
        _print_entries(entries)


@app.command("proof")
def prove(
    what: Annotated[
        str, typer.Argument(metavar="ID", help="A leaf's number, or the id of a request: of all its events.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="DIR", help="Write `<leaf>.tlog-proof` files there.", file_okay=False
        ),
    ] = None,
) -> None:
    """Receipts: each proves to whoever has the log's key that an event is in the log, without us.

    Examples:

        privacy-assets ledger proof 1234 > 1234.tlog-proof

        privacy-assets ledger proof 0b9f2c4e-7d5d-4d52-9f0e-3d1c8a4f6b12 --output receipts
    """
    log = _log()
    leaves = [int(what)] if what.isdecimal() else [entry.index for entry in log.entries(what)]
    if not leaves:
        raise UserError(f"{what!r}: nothing is logged of it, expected a leaf's number or a request's id")
    if output is None and len(leaves) > 1:
        raise UserError(f"{what!r}: {len(leaves)} events, expected --output DIR or one leaf's number")
    try:
        proofs = log.proofs(leaves)
    except IndexError as error:
        raise UserError(f"{error}") from None
    for proof in proofs:
        if output is None:
            sys.stdout.write(proof.encode().decode())
        else:
            output.mkdir(parents=True, exist_ok=True)
            path = output / f"{proof.index}.tlog-proof"
            path.write_bytes(proof.encode())
            sys.stdout.write(f"{path}\n")


@app.command("key")
def key() -> None:
    """The key that the log is verified with. An auditor should get it once, from a person, and keep it.

    Example:

        privacy-assets ledger key
    """
    sys.stdout.write(_log().key.vkey + "\n")


@app.command("copy")
def copy(
    to: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty folder.", file_okay=False)],
) -> None:
    """Copy the log into a folder that can be handed over and verified anywhere.

    Example:

        privacy-assets ledger copy evidence && privacy-assets ledger verify evidence --vkey "$KEY"
    """
    from privacy_assets.ledger import folder

    ledger, log = own_ledger(), _log()
    if log.open() is None:
        raise UserError("nothing has been logged yet")
    try:
        size = folder.copy(ledger, ledger.index(), log.head, to)
    except FileNotFoundError as missing:
        raise UserError(
            f"{missing}: is missing in the log; `privacy-assets ledger verify` says more"
        ) from None
    sys.stdout.write(f"{to}: {size:,} entries\n")


# --- what they share


def own_ledger() -> Any:
    """The estate's ledger, from the settings."""
    from resources import settings
    from resources.ledger import LedgerResource

    return LedgerResource(
        bucket=settings.EVIDENCE_BUCKET.value(),
        table=settings.LEDGER_TABLE.value(),
        key=settings.LEDGER_KEY.value(),
        retention_days=settings.LEDGER_RETENTION_DAYS.number(),
        lock_mode=settings.LEDGER_LOCK_MODE.value(),
    )


def _log() -> "Log":
    from privacy_assets.ledger import open_log
    from privacy_assets.query import require_aws

    require_aws()
    return open_log(own_ledger())


def _parsed(vkeys: Sequence[str]) -> "list[Key]":
    from privacy_assets.ledger import note

    try:
        return [note.parse_key(vkey) for vkey in vkeys]
    except note.NoteError as error:
        raise UserError(f"--vkey: {error}") from None


def _kept(path: Path, keys: "Sequence[Key]") -> "Checkpoint":
    """The checkpoint of a file. Raises UserError: it is the auditor's own, and not the log's fault."""
    from privacy_assets.ledger import checkpoint, note

    try:
        signed = path.read_bytes()
        return checkpoint.verify(signed, keys) if keys else checkpoint.parse(signed)
    except OSError as error:
        raise UserError(f"--since {path}: {error.strerror}, expected a checkpoint that you kept") from None
    except note.NoteError as error:
        raise UserError(f"--since {path}: {error}") from None


def _verified(place: str | None, keys: "list[Key]", since: "Checkpoint | None", progress: Any) -> "Report":
    from privacy_assets.ledger.folder import Folder
    from privacy_assets.ledger.verify import verify as verify_log

    if place is None:
        ledger, log = own_ledger(), _log()
        return verify_log(
            ledger, keys or [log.key], since=since, index=ledger.index(), head=log.head, progress=progress
        )
    if place.startswith("s3://"):
        from privacy_assets.query import require_aws
        from resources.ledger import PublishedLog

        require_aws()
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        prefix = prefix.strip("/")
        return verify_log(
            PublishedLog(bucket, f"{prefix}/" if prefix else ""), keys, since=since, progress=progress
        )
    if not Path(place).is_dir():
        raise UserError(f"{place}: no such folder, expected one that `privacy-assets ledger copy` made")
    folder = Folder(Path(place))
    return verify_log(folder, keys, since=since, index=folder.index(), progress=progress)


def _verify_receipt(path: Path, keys: "list[Key]", since: Path | None, *, as_json: bool) -> int:
    from privacy_assets.ledger import merkle, note, proof

    if since is not None:
        raise UserError("--since: of a receipt nothing can be compared, expected it with a folder or a log")
    try:
        receipt = proof.parse(path.read_bytes())
        head = proof.verify(receipt, keys)
    except (merkle.ProofError, note.NoteError) as error:
        if as_json:
            _print_json({"verified": False, "damage": [str(error)]})
        else:
            sys.stdout.write(f"{path}: {error}\n")
        return 1
    document = {"verified": True, "leaf": receipt.index, "size": head.size, "origin": head.origin}
    if as_json:
        _print_json({**document, "entry": receipt.entry.decode("utf-8", "replace")})
    else:
        sys.stdout.write(receipt.entry.decode("utf-8", "replace") + "\n")
        sys.stdout.write(f"is leaf {receipt.index:,} of the {head.size:,} that {head.origin} has signed\n")
    return 0


def _print_report(report: "Report", *, as_json: bool) -> int:
    head = report.checkpoint
    if as_json:
        _print_json(
            {
                "verified": report.verified,
                "origin": head.origin if head else None,
                "size": head.size if head else 0,
                "root": head.root.hex() if head else None,
                "damage": report.damage,
                "said": report.said,
            }
        )
    else:
        for line in report.damage:
            sys.stdout.write(f"✗ {line}\n")
        for line in report.said:
            sys.stdout.write(f"✓ {line}\n")
        sys.stdout.write("verified\n" if report.verified else "DAMAGED\n")
    return 0 if report.verified else 1


def _print_entries(entries: "Sequence[Entry]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(header_style="bold")
    for name in ("leaf", "at", "kind", "actor", "request", "counts"):
        shown.add_column(name, overflow="fold")
    for entry in entries:
        event = entry.event
        counts = ", ".join(f"{name} {value:,}" for name, value in event.counts.items())
        cells = (f"{event.at:%Y-%m-%d %H:%M:%S}", event.kind, event.actor, event.stream, counts)
        shown.add_row(str(entry.index), *(Text(cell) for cell in cells))
    console = Console()
    if not console.is_terminal:  # a pipe has no width to fold at
        console = Console(width=PIPE_WIDTH)
    console.print(shown if entries else "nothing has been logged yet")


@contextmanager
def _bar() -> Iterator[Any]:
    """How far it is, on stderr, and only for a person."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
