"""Damage of each kind to a copied log, and random damage, is found; without a network."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy_assets.ledger import checkpoint, events, merkle, note, tiles
from privacy_assets.ledger.events import Event
from privacy_assets.ledger.folder import Folder
from privacy_assets.ledger.verify import Report, verify
from resources.ledger_signing import PemSigner
from tests.ledger.test_note import pem

NAME = "example.com/ledger"
SIZE, OLD = 600, 300


def leaves(count: int) -> list[bytes]:
    return [
        Event("test.done", actor="test", stream=f"job-{n % 7}", counts={"number": n}).encode()
        for n in range(count)
    ]


def write(folder: Path, entries: list[bytes], signer: PemSigner, *, index: bool = True) -> None:
    """A log as it is published, with its index."""
    into, edge = Folder(folder), tiles.Edge()
    for path, body in {**edge.add(entries), **edge.partial()}.items():
        into.write(path, body)
    into.write("checkpoint", checkpoint.sign(NAME, edge.size, edge.root(), signer).signed)
    if index:
        rows = [
            json.dumps({"stream": json.loads(entry)["stream"], "leaf": leaf}) + "\n"
            for leaf, entry in enumerate(entries)
        ]
        into.write("index.jsonl", "".join(rows).encode())


class Kept:
    """A log in a folder, its key, and a checkpoint that an auditor kept."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.signer = pem(folder)
        self.keys = [note.ecdsa_key(NAME, self.signer.public_key)]
        self.entries = leaves(SIZE)
        self.log = folder / "log"
        write(self.log, self.entries, self.signer)
        root = merkle.root(merkle.leaf_hashes(self.entries[:OLD]))
        self.since = checkpoint.sign(NAME, OLD, root, self.signer)

    def report(self, folder: Path, *, since: bool = True) -> Report:
        log = Folder(folder)
        return verify(log, self.keys, since=self.since if since else None, index=log.index())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("kept") / "log")


@pytest.fixture
def copied(kept: Kept, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept.log, tmp_path / "log"))


def test_a_sound_log_is_verified_without_a_network(
    kept: Kept, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refused)
    report = kept.report(copied)
    assert report.damage == []
    assert report.said == [
        f"600 entries make the root that {NAME} has signed",
        "the first 300 entries are those of the checkpoint that was kept",
        "600 rows of the index agree with the log",
    ]


BUNDLE = "tile/entries/001"


def flipped(folder: Path) -> None:
    path = folder / BUNDLE
    body = bytearray(path.read_bytes())
    body[1000] ^= 4
    path.write_bytes(body)


def bundle(change: Callable[[list[bytes]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / BUNDLE
        entries = tiles.decode(path.read_bytes())
        change(entries)
        path.write_bytes(tiles.encode(entries))

    return damage


def swap(entries: list[bytes]) -> None:
    entries[3], entries[4] = entries[4], entries[3]


def swap_with_tile(folder: Path) -> None:
    bundle(swap)(folder)
    path = folder / "tile/0/001"
    hashes = tiles.split(path.read_bytes())
    swap(hashes)
    path.write_bytes(b"".join(hashes))


def replace(entries: list[bytes]) -> None:
    entries[5] = leaves(9)[8]


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped bit": (flipped, "entry 2"),
    "dropped entry": (bundle(lambda entries: entries.pop(7)), "255 entries, expected 256"),
    "swapped entries": (bundle(swap), "entry 259: its hash is not the one in tile/0/001"),
    "swapped entries and hashes": (swap_with_tile, "its root is not that of the 600 entries"),
    "inserted entry": (bundle(lambda entries: entries.insert(9, b"{}")), "257 entries, expected 256"),
    "replaced entry": (bundle(replace), "entry 261: its hash"),
    "missing bundle": (lambda folder: (folder / BUNDLE).unlink(), "tile/entries/001: missing"),
    "missing tail": (lambda folder: (folder / "tile/entries/002.p/88").unlink(), "missing"),
    "missing tile": (lambda folder: (folder / "tile/1/000.p/2").unlink(), "tile/1/000.p/2: missing"),
    "wrong tile": (
        lambda folder: (folder / "tile/1/000.p/2").write_bytes(bytes(64)),
        "tile/1/000.p/2: not the hashes",
    ),
    "no checkpoint": (lambda folder: (folder / "checkpoint").unlink(), "checkpoint: missing"),
    "wrong signature": (
        lambda folder: (folder / "checkpoint").write_bytes(
            (folder / "checkpoint").read_bytes().replace(b"\n600\n", b"\n601\n")
        ),
        "signature",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_damage_is_found(kept: Kept, copied: Path, kind: str) -> None:
    damage, line = KINDS[kind]
    damage(copied)
    found = kept.report(copied, since=False).damage
    assert any(line in each for each in found), found


def test_a_tail_that_was_cut_off_is_found_with_a_kept_checkpoint(kept: Kept, tmp_path: Path) -> None:
    """The log as it was before, with its old and valid signature."""
    write(tmp_path / "short", kept.entries[: OLD - 1], kept.signer)
    report = kept.report(tmp_path / "short")
    assert any("taken off its end" in line for line in report.damage)
    assert kept.report(tmp_path / "short", since=False).verified  # that is what keeping one is for


def test_a_tail_that_was_cut_off_is_found_with_the_index(kept: Kept, tmp_path: Path) -> None:
    write(tmp_path / "short", kept.entries[:-1], kept.signer, index=False)
    shutil.copy(kept.log / "index.jsonl", tmp_path / "short")
    assert kept.report(tmp_path / "short").damage == [
        "index: leaf 599 of a stream, but the log has 599 entries"
    ]


def test_history_rewritten_and_signed_anew_is_found_with_a_kept_checkpoint(
    kept: Kept, tmp_path: Path
) -> None:
    entries = list(kept.entries)
    entries[100] = leaves(999)[998]
    write(tmp_path / "new", entries, kept.signer)
    assert kept.report(tmp_path / "new", since=False).verified
    (line,) = kept.report(tmp_path / "new").damage
    assert "its first 300 entries were others" in line
    Folder(tmp_path / "new").write("checkpoints/2026-01-27", kept.since.signed)
    (line,) = kept.report(tmp_path / "new", since=False).damage
    assert line.startswith("checkpoints/2026-01-27: its first 300 entries were others")


def test_history_rewritten_and_signed_by_another_key_is_found(kept: Kept, tmp_path: Path) -> None:
    write(tmp_path / "new", kept.entries, pem(tmp_path))
    assert kept.report(tmp_path / "new").damage == ["checkpoint: no signature of a known key"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda rows: rows[:-1], "leaf 599 is not in its stream"),
        (lambda rows: [*rows, rows[5]], "leaf 5 is in a stream that is not its own, or twice"),
        (
            lambda rows: [{**rows[0], "stream": "job-6"}, *rows[1:]],
            "leaf 0 is in a stream that is not its own",
        ),
        (lambda rows: [*rows, {"stream": "job-1", "leaf": 600}], "leaf 600 of a stream"),
    ],
)
def test_an_index_that_disagrees_is_found(
    kept: Kept, copied: Path, change: Callable[[list[object]], list[object]], line: str
) -> None:
    path = copied / "index.jsonl"
    rows = change([json.loads(each) for each in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = kept.report(copied).damage
    assert any(line in each for each in found), found


def test_every_entry_is_an_event(kept: Kept, tmp_path: Path) -> None:
    write(tmp_path / "log", [*kept.entries, b"no json"], kept.signer, index=False)
    shutil.copy(kept.log / "index.jsonl", tmp_path / "log")
    assert kept.report(tmp_path / "log").damage == ["entry 600: not an event"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_random_damage_goes_unseen(kept: Kept, tmp_path: Path, data: st.DataObject) -> None:
    """Bits, cuts and additions anywhere in any file that makes up the log."""
    folder = tmp_path / "log"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept.log, folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "index.jsonl")
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths))
        body = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, max(0, len(body) - 1)))
        kind = data.draw(st.sampled_from(["flip", "cut", "add", "drop", "swap"]))
        if kind == "flip" and body:
            body[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del body[at:]
        elif kind == "add":
            body[at:at] = data.draw(st.binary(min_size=1, max_size=40))
        elif kind == "drop":
            del body[at : at + data.draw(st.integers(1, 40))]
        else:
            other = folder / data.draw(st.sampled_from([str(each.relative_to(folder)) for each in paths]))
            theirs = other.read_bytes()
            other.write_bytes(body)
            body = bytearray(theirs)
        path.write_bytes(body)
    unchanged = all(path.read_bytes() == (kept.log / path.relative_to(folder)).read_bytes() for path in paths)
    assert kept.report(folder).verified == unchanged


def test_leaves_are_events(kept: Kept) -> None:
    assert [events.decode(entry).counts["number"] for entry in kept.entries] == list(range(SIZE))
