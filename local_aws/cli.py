"""``aws up|down|status|reset|env``: a local AWS from the command line.

Exit codes: 0 fine, 1 ``status`` found none, 2 it can't be done (one line on stderr).
"""

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from local_aws import control
from local_aws.control import ControlError
from local_aws.process import DEFAULT_PORT, environment

# Records and logs of servers, in the directory the command is run in, as all else that the project writes.
RUN_DIRECTORY = Path(".local")

app = typer.Typer(
    name="aws",
    help="AWS on this machine: DynamoDB, S3, Glue, Athena, SQS and more, on loopback only.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Port = Annotated[int, typer.Option(min=1, max=65535, help="The port of the server.")]


@app.command()
def up(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to serve; 0 takes a free one.")
    ] = DEFAULT_PORT,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Keep everything here between runs."),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when it is ready; `down` stops it.")
    ] = False,
) -> None:
    """Start AWS; in the foreground, unless told otherwise, until Ctrl-C."""
    try:
        if detach:
            running = control.start_detached(port, state, RUN_DIRECTORY)
            typer.echo(f"local AWS is ready at {running.endpoint} (pid {running.pid})")
            return
        control.refuse_second(port)
        _serve(port, state)
    except ControlError as error:
        _fail(str(error))


def _serve(port: int, state: Path | None) -> None:
    from local_aws.server import end_process, serve  # slow to import, and of use here alone
    from local_aws.settings import StartError

    served: list[int] = []

    def ready(endpoint: str) -> None:
        served.append(int(endpoint.rpartition(":")[2]))
        running = control.find(served[0])
        if running is not None:
            control.write_record(RUN_DIRECTORY, running)
        kept = f", its state in {state}" if state else ""
        typer.echo(f"local AWS is ready at {endpoint}{kept}; Ctrl-C stops it")

    try:
        serve(port, state, ready)
    except StartError as error:
        _fail(str(error))
    finally:
        for number in served:
            control.record_path(RUN_DIRECTORY, number).unlink(missing_ok=True)
    end_process()


@app.command()
def down(port: Port = DEFAULT_PORT) -> None:
    """Stop the server; fine when none runs."""
    try:
        stopped = control.stop(port, RUN_DIRECTORY)
    except ControlError as error:
        _fail(str(error))
    typer.echo(f"no local AWS runs on port {port}" if stopped is None else f"stopped (pid {stopped.pid})")


@app.command()
def status(
    port: Port = DEFAULT_PORT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document and nothing else.")] = False,
) -> None:
    """Whether a server runs, and what it holds. Exits 1 when none runs."""
    try:
        running = control.find(port)
    except ControlError as error:
        _fail(str(error))
    if as_json:
        found = {"port": port} if running is None else asdict(running)
        typer.echo(json.dumps({"running": running is not None, **found}))
    elif running is None:
        typer.echo(f"no local AWS runs on port {port}")
    else:
        counts = "".join(f"\n  {name}: {count}" for name, count in running.counts.items())
        typer.echo(f"local AWS {running.version} runs at {running.endpoint}, pid {running.pid}")
        typer.echo(f"  state: {running.state or 'not kept'}{counts}")
    if running is None:
        raise typer.Exit(1)


@app.command()
def reset(
    port: Port = DEFAULT_PORT,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask, though the server keeps its state.")] = False,
) -> None:
    """Empty the running server, its state on disk too; a server that keeps its state asks first."""
    try:
        running = control.find(port)
        if running is not None and running.state and not yes:
            if not sys.stdin.isatty():
                _fail(f"port {port}: what is there is kept, in {running.state}: --yes empties it for good")
            typer.confirm(f"Empty {running.state} for good?", abort=True)
        control.reset(port)
    except ControlError as error:
        _fail(str(error))
    typer.echo("everything is gone")


@app.command()
def env(port: Port = DEFAULT_PORT) -> None:
    """Print what makes any AWS client of this shell talk to the server: `eval $(… aws env)`."""
    for name, value in environment(f"http://127.0.0.1:{port}").items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
