"""Crawling a day's export and comparing what the crawler found with the manifests."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from privacy_assets.snapshot.manifest import Manifest

_TRIES = 5


class Crawler(Protocol):
    """A crawler that can be started and asked."""

    def start_crawler(self, name: str) -> bool: ...
    def crawl_ended(self, name: str) -> bool: ...


class Wait(Protocol):
    """Waits until ``probe`` answers something else than None."""

    def until(self, probe: Callable[[], bool | None], what: str) -> bool: ...


class CrawlerBusy(Exception):  # noqa: N818  # a state, not an error of the crawl
    """The crawler was never free, though it was waited for."""


def crawl(crawler: Crawler, name: str, wait: Wait, found: Callable[[], bool]) -> int:
    """Crawl until ``found`` or a crawl of our own has ended; answers how many crawls were started.

    A crawler that runs already may have listed the folder before our data was there, so after it has ended
    ``found`` decides whether another crawl is needed.
    """
    for _ in range(_TRIES):
        mine = crawler.start_crawler(name)
        wait.until(lambda: crawler.crawl_ended(name) or None, f"crawler {name}")
        if mine:
            return 1
        if found():
            return 0
    raise CrawlerBusy(
        f"crawler {name}: always started by somebody else, expected to start it within {_TRIES} tries"
    )


def disagreements(
    manifest: Manifest, sizes: Mapping[str, int], found: Sequence[Mapping[str, str]]
) -> list[str]:
    """How the crawler's partitions of one export differ from its manifests; nothing means they agree.

    ``sizes`` are the data files' bytes by key, ``found`` the parameters of the partitions.  A crawler may
    leave out files that hold no item.
    """
    if not found:
        return [] if manifest.items == 0 else ["no partition for the export, expected one"]
    full = [file for file in manifest.files if file.items]
    problems = []
    for name, every, least in (
        ("objectCount", len(manifest.files), len(full)),
        ("sizeKey", sum(sizes[file.key] for file in manifest.files), sum(sizes[file.key] for file in full)),
    ):
        number = sum(int(parameters.get(name, 0)) for parameters in found)
        if number not in (every, least):
            problems.append(f"{name} {number}, expected {every}")
    return problems
