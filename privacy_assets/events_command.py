"""``privacy-assets events``: what was sent and is in no table, again."""

from typing import Annotated

import typer

app = typer.Typer(
    help="Events that people's programs send.", no_args_is_help=True, rich_markup_mode="markdown"
)


@app.callback()
def _events() -> None:
    """Events that people's programs send."""


@app.command("redrive")
def redrive(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")
    ] = False,
) -> None:
    """Send the dead letters of events to ingestion again, once what was wrong is mended.

    Example:

        privacy-assets events redrive
    """
    from privacy_assets import redriving
    from privacy_assets.query import require_aws
    from resources import settings
    from resources.busy_queue import BusyQueueResource

    require_aws()
    redriving.redrive(
        BusyQueueResource(
            queue=settings.EVENT_QUEUE.value(), dead_letters=settings.EVENT_DEAD_LETTER_QUEUE.value()
        ),
        as_json=as_json,
    )
