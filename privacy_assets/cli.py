"""The ``privacy-assets`` command.

Only the words of the command line belong here: options, help and how an answer is printed. What a command
does is imported when it is called, so that ``--help`` answers at once.

Exit codes: 0 fine, 1 the command ran and what it looked for is not as it should be, 2 wrong input or
surroundings (one line on stderr), 130 and 143 after Ctrl-C and SIGTERM.
"""

import os
import re
import sys
from collections.abc import Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from privacy_assets.api_command import api, client_app
from privacy_assets.dsar_command import dsar_app
from privacy_assets.errors import Stopped, UserError
from privacy_assets.events_command import app as events_app
from privacy_assets.ledger_command import app as ledger_app

DEBUG = "PRIVACY_ASSETS_DEBUG"
_OPTION = re.compile(r"--?[a-z][a-z-]*(=[^\n]*)?")

app = typer.Typer(
    name="privacy-assets",
    help="Privacy compliance on AWS as Dagster assets: daily snapshots, audits, evidence.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
estate_app = typer.Typer(
    help="What is governed (`estate.yaml`) and whether the account agrees.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(estate_app, name="estate")
archive_app = typer.Typer(
    help="Deleted records: what was deleted, by whom, and getting it back.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(archive_app, name="archive")
app.add_typer(dsar_app, name="dsar")
app.add_typer(events_app, name="events")
app.add_typer(ledger_app, name="ledger")
app.command()(api)
app.add_typer(client_app, name="client")


class _Form(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"privacy-assets {version('privacy-assets')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    """Privacy compliance on AWS as Dagster assets: daily snapshots, audits, evidence."""


@app.command()
def demo(
    records: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100_000_000,
            help="How many records to generate (20,000 if not told); at least 100 for each night and each "
            "day of the week before: 1,000 for 3 nights.",
        ),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=30, help="How many past nights to run (3; 1 with --items)."),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Audit your own records: lines of DynamoDB JSON, `{"Item": {…}}`, plain or .gz.',
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the state of AWS and of Dagster, not the reports alone.")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Where it works; reports stay there (.local/demo)."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")
    ] = False,
) -> None:
    """Run the nightly audit end to end on this machine, on data with known violations.

    Starts AWS, creates the estate, loads past days, lets the schedule export each night, the sensor hear of
    it and the audits run; prints what was found and where the report is. Ends with 1 unless exactly the
    planted violations were found. Nothing is left running.

    Examples:

        privacy-assets demo

        privacy-assets demo --records 100000 --days 1 --json > found.json

        privacy-assets demo --items export.json.gz
    """
    from privacy_assets.demo.command import Request
    from privacy_assets.demo.command import demo as run

    raise typer.Exit(run(Request(state or _local("demo"), records, days, items, keep, as_json)))


@app.command()
def up(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the web interface.")] = 3000,
    aws_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of AWS.")] = 4566,
    api_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the HTTP API.")] = 8000,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Where all state is kept (.local/up)."),
    ] = None,
    records: Annotated[
        int,
        typer.Option(
            min=0,
            max=100_000_000,
            help="Sample records to load when the tables are empty; 0 for none, else at least 1,000.",
        ),
    ] = 20_000,
) -> None:
    """AWS, the HTTP API, Dagster's web interface and daemon on this machine, schedules and sensors on, until
    Ctrl-C.

    State is kept, so that the next start goes on where this one ended.

    Examples:

        privacy-assets up

        privacy-assets up --port 3001 --aws-port 4567 --state .local/other --records 100000
    """
    from privacy_assets.up import up as run

    where = state or _local("up")
    raise typer.Exit(run(port=port, aws_port=aws_port, api_port=api_port, state=where, records=records))


class _SqlCommand(TyperCommand):
    """A command whose argument may begin as an option does: SQL with a comment before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = args[: args.index("--")] if "--" in args else args
        sql = [arg for arg in given if arg.startswith("-") and arg != "-" and not _OPTION.fullmatch(arg)]
        if len(sql) == 1 and len(given) == len(args):
            args = [*(arg for arg in args if arg is not sql[0]), "--", *sql]
        return super().parse_args(ctx, args)


@app.command(cls=_SqlCommand)
def athena(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement; `-` reads it from stdin.")],
    as_csv: Annotated[
        bool, typer.Option("--csv", help="CSV as Athena writes it: values quoted, NULL is empty.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="One JSON array with an object for each row. Numbers and booleans are JSON's, NULL is null. "
            "Text are decimals, dates and times, doubles that are NaN or infinite, and arrays, maps and rows "
            "as Athena prints them: `CAST(… AS JSON)` gives JSON's text.",
        ),
    ] = False,
    database: Annotated[
        str | None, typer.Option(metavar="NAME", help="Glue database (the estate's if not told).")
    ] = None,
) -> None:
    """Ask Athena and print the rows.

    Talks to the AWS of the environment: the account of your profile, or local AWS after
    `eval $(privacy-assets aws env)`.

    Examples:

        privacy-assets athena "SELECT event_type, count(*) FROM privacy_logs GROUP BY 1"

    privacy-assets athena --csv "SELECT * FROM audit_results WHERE snapshot_date = DATE '2026-01-31'" >
    found.csv
    """
    from privacy_assets.query import print_answer

    if as_csv and as_json:
        raise UserError("--csv and --json: expected one of them, not both")
    form = _Form.csv if as_csv else _Form.json if as_json else _Form.table
    print_answer(sys.stdin.read() if sql == "-" else sql, form.value, database)


class _Severity(StrEnum):
    low = "low"
    medium = "medium"
    high = "high"
    critical = "critical"


class _Confidence(StrEnum):
    low = "low"
    medium = "medium"
    high = "high"


@app.command()
def scan(
    targets: Annotated[list[str], typer.Argument(metavar="PATH|s3://BUCKET/PREFIX", help="What to read.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line, as they are found.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header.")] = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="One SARIF 2.1.0 log.")] = False,
    fail_on: Annotated[
        _Severity,
        typer.Option("--fail-on", help="End with 1 if there is a finding of this severity or above."),
    ] = _Severity.low,
    min_confidence: Annotated[
        _Confidence, typer.Option("--min-confidence", help="Tell findings from this confidence on.")
    ] = _Confidence.low,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Print the values themselves. They are then on your screen.")
    ] = False,
    detectors: Annotated[
        str, typer.Option(metavar="NAME,…", help="Only these detectors; `list` names them all and ends.")
    ] = "",
    rules: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Own detectors and allow lists, in YAML."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=256, help="How many read (as many as there are cores).")
    ] = None,
) -> None:
    """Find personal data and credentials in files and buckets: every byte is read, and what could not be
    read is told.

    Ends with 1 with findings at or above --fail-on, 0 without, 2 on error. Values are masked unless you ask
    for them by --reveal. Offsets are bytes in the file, or in the member of the archive.

    Examples:

        privacy-assets scan exports/ --fail-on high

        privacy-assets scan s3://my-bucket/logs/ --json > found.jsonl

        privacy-assets scan . --sarif > found.sarif
    """
    from privacy_assets.scanning import Request, print_detectors
    from privacy_assets.scanning import scan as run

    forms = [name for name, wanted in (("json", as_json), ("csv", as_csv), ("sarif", as_sarif)) if wanted]
    if len(forms) > 1:
        raise UserError(f"--{forms[0]} and --{forms[1]}: expected one of them, not both")
    if detectors == "list":
        print_detectors(rules)
        raise typer.Exit
    chosen = [name.strip() for name in detectors.split(",") if name.strip()]
    request = Request(
        targets,
        forms[0] if forms else "table",
        fail_on.value,
        min_confidence.value,
        reveal,
        chosen,
        rules,
        processes,
    )
    raise typer.Exit(run(request))


class _Status(StrEnum):
    open = "open"
    gone = "gone"
    allowed = "allowed"
    all = "all"


@app.command()
def findings(
    bucket: Annotated[str, typer.Argument(metavar="BUCKET", help="A bucket that has been scanned.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header.")] = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="One SARIF 2.1.0 log.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object a line (if not told otherwise).")
    ] = False,
    status: Annotated[_Status, typer.Option(help="Which findings.")] = _Status.open,
) -> None:
    """Export what the scans of a bucket have found, masked as it is stored.

    Talks to the AWS of the environment: the account of your profile, or local AWS after
    `eval $(privacy-assets aws env)`.

    Examples:

        privacy-assets findings my-bucket --csv > findings.csv

        privacy-assets findings my-bucket --sarif --status all > findings.sarif
    """
    from privacy_assets.scanning import export

    forms = [name for name, wanted in (("json", as_json), ("csv", as_csv), ("sarif", as_sarif)) if wanted]
    if len(forms) > 1:
        raise UserError(f"--{forms[0]} and --{forms[1]}: expected one of them, not both")
    export(bucket, forms[0] if forms else "json", status.value)


@estate_app.command("check")
def estate_check(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array of the differences.")] = False,
) -> None:
    """Compare the estate with the live account: each difference a line; 0 none, 1 differences, 2 could not
    look.

    Example:

        privacy-assets estate check && echo "as it should be"
    """
    from privacy_assets.query import print_differences

    raise typer.Exit(1 if print_differences(as_json) else 0)


@estate_app.command("show")
def estate_show() -> None:
    """The governed tables and their columns: type, categories of personal data, keys.

    Example:

        PRIVACY_ASSETS_ESTATE=other.yaml privacy-assets estate show
    """
    from privacy_assets.query import print_estate

    print_estate()


_Table = Annotated[str, typer.Option("--table", metavar="T", help="A governed table.")]
_Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help='A key: its value, `PARTITION,SORT`, or DynamoDB JSON, `{"PK":{"S":"…"}}`. May be repeated.',
    ),
]
_KeysFile = Annotated[
    Path | None, typer.Option("--keys-file", metavar="FILE", help="A file with a key on each line.")
]
_Subject = Annotated[str | None, typer.Option("--subject", metavar="ID", help="Records about one person.")]
_From = Annotated[
    str, typer.Option("--from", metavar="TIME", help="Deleted at or after: a day or an instant, UTC.")
]
_To = Annotated[
    str, typer.Option("--to", metavar="TIME", help="Deleted until: a day (with all of it) or an instant.")
]
_Cause = Annotated[
    str, typer.Option("--cause", metavar="CAUSE", help="Who deleted: `user`, `ttl`, `dsar` or `overwrite`.")
]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document and nothing else.")]


@archive_app.command("list")
def archive_list(
    table: _Table,
    key: _Keys = None,
    subject: _Subject = None,
    deleted_from: _From = "",
    deleted_to: _To = "",
    cause: _Cause = "",
    limit: Annotated[int, typer.Option(min=1, help="How many to print at most.")] = 100,
    as_json: _Json = False,
) -> None:
    """What was deleted from a table, by whom or what, the latest first.

    Examples:

        privacy-assets archive list --table orders --cause ttl --from 2026-01-27 --to 2026-01-27

        privacy-assets archive list --table orders --key "USER#123,PROFILE" --json
    """
    from privacy_assets.archive_command import Request, list_archived

    request = Request(table, key or (), None, subject, deleted_from, deleted_to, cause)
    list_archived(request, limit=limit, as_json=as_json)


@archive_app.command("show")
def archive_show(
    table: _Table,
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="The key, as `archive list` takes it.")],
    sequence: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Which deletion of the key; the latest if not told.")
    ] = None,
) -> None:
    """One deletion whole, as JSON: the item as it was, who deleted it, where it is kept.

    Example:

        privacy-assets archive show --table orders --key "USER#123,PROFILE"
    """
    from privacy_assets.archive_command import Request, show

    show(Request(table, [key]), sequence=sequence)


@archive_app.command("restore")
def archive_restore(
    table: _Table,
    key: _Keys = None,
    keys_file: _KeysFile = None,
    subject: _Subject = None,
    deleted_from: _From = "",
    deleted_to: _To = "",
    cause: _Cause = "",
    to_table: Annotated[
        str, typer.Option(metavar="T", help="Put the items into another table (DynamoDB's name).")
    ] = "",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace what has the key now; what is replaced is archived first."),
    ] = False,
    expired: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="Items whose time to live is over: `leave`, `strip` the attribute, or `move` it.",
        ),
    ] = "leave",
    move_days: Annotated[int, typer.Option(min=1, help="With `--expired move`: days from now.")] = 30,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would happen; change nothing.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what became of each record, a line of JSON each."),
    ] = None,
    progress: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Note here how far it is; with the same file it goes on from there."
        ),
    ] = None,
    request_only: Annotated[
        bool,
        typer.Option(
            "--request", help="Restore nothing; print the config for Dagster's job `archive_restore`."
        ),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Put deleted records back. Nothing is overwritten unless you say so; running it again changes nothing.

    Ends with 0 when all that was selected is in the table, 1 when something is not (the report says what).

    Examples:

        privacy-assets archive restore --table orders --key "USER#123,PROFILE" --dry-run

        privacy-assets archive restore --table orders --from 2026-01-27T13:00:00Z --report restored.jsonl
    """
    from privacy_assets import archive_command as command

    request = command.Request(table, key or (), keys_file, subject, deleted_from, deleted_to, cause)
    if request_only:
        command.write_request(request)
        return
    options = command.options(dry_run=dry_run, overwrite=overwrite, expired=expired, move_days=move_days)
    raise typer.Exit(
        command.restore(
            request,
            options,
            to_table=to_table,
            report_file=report,
            progress_file=progress,
            as_json=as_json,
        )
    )


@archive_app.command("redrive")
def archive_redrive(as_json: _Json = False) -> None:
    """Send the dead letters of deletions to the archive again, once what was wrong is mended.

    Example:

        privacy-assets archive redrive
    """
    from privacy_assets.archive_command import redrive

    redrive(as_json=as_json)


@app.command(
    "aws",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    short_help="AWS on this machine: up, down, status, reset, env.",
)
def aws(context: typer.Context) -> None:
    """AWS on this machine. `privacy-assets aws --help` lists what it can do."""
    try:
        from local_aws.cli import app as aws_app
    except ModuleNotFoundError as error:
        raise UserError(
            f"aws: {error.name} is not installed, which AWS on this machine needs: "
            "pip install 'privacy-assets[local]'"
        ) from error
    command = typer.main.get_command(aws_app)
    result = command(args=context.args or ["--help"], prog_name="privacy-assets aws", standalone_mode=False)
    raise typer.Exit(result if isinstance(result, int) else 0)


def _local(name: str) -> Path:
    """A place of our own: in the project's folder when we run from a clone, else where we are."""
    project = Path(__file__).resolve().parent.parent
    return (project if (project / "pyproject.toml").is_file() else Path.cwd()) / ".local" / name


def run(arguments: Sequence[str]) -> int:
    """Run the command and give its exit code: the one place where an error becomes a line."""
    try:
        result = app(args=list(arguments), prog_name="privacy-assets", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except Stopped as stopped:
        typer.echo(f"privacy-assets: {stopped}; all that it had started has ended", err=True)
        return stopped.exit_code
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help that it stands for has been printed
            return 2
        if os.environ.get(DEBUG):
            raise
        from privacy_assets.failures import explain

        typer.echo(f"privacy-assets: {explain(error)}", err=True)
        return 2
    return result if isinstance(result, int) else 0


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
