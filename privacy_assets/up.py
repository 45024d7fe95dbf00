"""``privacy-assets up``: the product on one machine, until it is told to end."""

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from privacy_assets.api.clients import SCOPES, parse_registry
from privacy_assets.api.rotation import create_client, ensure_keys, tell, tell_key
from privacy_assets.demo import requests
from privacy_assets.demo.command import last_nights, mornings, provision_estate
from privacy_assets.demo.days import Plan
from privacy_assets.demo.loading import load
from privacy_assets.demo.samples import samples
from privacy_assets.demo.scans import ask
from privacy_assets.errors import Stopped
from privacy_assets.ledger import open_log
from privacy_assets.ledger_command import own_ledger
from privacy_assets.machine.stack import HOST, Machine, machine, require_free
from resources import settings
from resources.api_secrets import ApiSecrets

SAMPLE_NIGHTS = 3
MISSED_NIGHTS = 14
"""How far back nights are made up for that were missed while nothing ran."""
SETTINGS = {"PRIVACY_ASSETS_SENSOR_SECONDS": "5"}
WEB_SECONDS = 120.0
CHECK_SECONDS = 0.5
UNFINISHED = "sample-unfinished"
CLIENT = "local"
"""The client that a new state begins with."""


def up(*, port: int, aws_port: int, api_port: int, state: Path, records: int) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP; 0 when all has ended.

    Raises UserError when a port is in use, SettingError for a setting that is none.
    """
    settings.check()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    plan = Plan(records, last_nights(SAMPLE_NIGHTS)) if records else None
    try:
        require_free(api_port)
        with machine(state, aws_port=aws_port, web_port=port, settings=SETTINGS, reloads=True) as whole:
            with console.status("starting AWS, Dagster and its web interface") as status:
                missed = _fill(whole, plan, lambda what: status.update(what))
                _make_client()
                whole.children.start("api", _api(api_port), {})
                whole.begin(missed)
                status.update("waiting for the web interface and the API")
                address, api = f"http://{HOST}:{port}", f"http://{HOST}:{api_port}"
                _await(whole, f"{address}/server_info")
                _await(whole, f"{api}/readyz")
            console.print(f"[green]✓[/green] the web interface is at [bold]{address}[/bold]")
            console.print(f"  AWS is at {whole.endpoint}: eval $(privacy-assets aws env --port {aws_port})")
            console.print(f"  the API is at {api}/docs: eval $(privacy-assets client secret {CLIENT} --env)")
            console.print(f"  state and logs are in {state}; Ctrl-C ends it all")
            while True:
                whole.children.check()
                time.sleep(CHECK_SECONDS)
    except Stopped:
        console.print("[green]✓[/green] all has ended")
        return 0


def _fill(whole: Machine, plan: Plan | None, say: Callable[[str], None]) -> list[str]:
    """Create the estate and, where it is new, the sample; the mornings for the schedule to make up for."""
    unfinished = whole.directory / UNFINISHED
    table, new = provision_estate(generated=plan is not None)
    if plan is None or not (new or unfinished.exists()):
        return [] if new else mornings(last_nights(MISSED_NIGHTS))
    unfinished.touch()
    load(
        whole.endpoint,
        table,
        plan.lines(),
        progress=lambda loaded: say(f"writing sample records: {loaded.items:,} of {plan.records:,}"),
    )
    ask(samples())
    requests.ask(requests.subject_of(table), "export")
    unfinished.unlink()
    return mornings(plan.nights)


def _make_client() -> None:
    """The API's keys and a first client, where they are not there from the last time."""
    secrets = ApiSecrets.from_settings()
    made = ensure_keys(secrets)
    if CLIENT not in parse_registry(secrets.registry()).clients:
        secrets.delete_client_secret(CLIENT)  # a start that was broken off may have left it
        create_client(secrets, CLIENT, list(SCOPES), None)
    log = open_log(own_ledger())
    tell(secrets, log)
    tell_key(secrets, log, made=made)


def _api(port: int) -> list[str]:
    command = "from privacy_assets.cli import main; main()"
    return [sys.executable, "-c", command, "api", "--host", HOST, "--port", str(port)]


def _await(whole: Machine, address: str) -> None:
    until = time.monotonic() + WEB_SECONDS
    while True:
        whole.children.check()
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310  # our own server
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
