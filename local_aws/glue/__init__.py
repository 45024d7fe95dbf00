"""Crawlers that crawl, and a catalog that refuses a lost update."""

from moto.glue.models import glue_backends

from local_aws.context import Context
from local_aws.glue.catalog import Backend
from local_aws.glue.crawler import Engine


def install(context: Context) -> None:
    """Put this engine into moto's place."""
    Backend.engine = Engine(context)
    glue_backends.backend = Backend
