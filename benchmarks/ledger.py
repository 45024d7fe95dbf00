"""The ledger: appends on local AWS; a million leaves built, verified and proved offline, in a folder."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_aws.process import running


def main(*, quick: bool) -> dict[str, Any]:
    """Milliseconds of an append, seconds of a million leaves."""
    figures = {**_appends(20 if quick else 200), **_offline(10_000 if quick else 1_000_000)}
    for name, value in figures.items():
        print(f"{name}: {value}")
    return figures


def _appends(times: int) -> dict[str, Any]:
    with running() as server:
        os.environ.update(server.environment)
        from privacy_assets.ledger import Event, open_log
        from resources.ledger import LedgerResource
        from resources.provision import KINDS, Place
        from resources.provision_ledger import LedgerNames, kinds, shapes

        names = LedgerNames("bench-evidence", "bench-ledger", "alias/bench-ledger")
        for each in shapes(names, Place.live()):
            {**KINDS, **kinds()}[each.kind].create(each.name, each.shape)
        log = open_log(
            LedgerResource(
                bucket=names.bucket,
                table=names.table,
                key=names.key,
                retention_days=1,
                lock_mode="GOVERNANCE",
            )
        )

        def event(number: int) -> Event:
            return Event("bench.done", actor="bench", stream=f"job-{number % 10}", run_id="r" * 36)

        def median(batch: int) -> float:
            log.append([event(0)])
            return statistics.median(
                _seconds(lambda: log.append([event(number) for number in range(batch)])) for _ in range(times)
            )

        return {
            "append_1_p50_ms": round(1000 * median(1), 1),
            "append_100_p50_ms": round(1000 * median(100), 1),
        }


def _offline(leaves: int) -> dict[str, Any]:
    from privacy_assets.ledger import checkpoint, merkle, note, tiles
    from privacy_assets.ledger.folder import Folder
    from privacy_assets.ledger.verify import verify

    template = (
        b'{"actor":"audit","at":"2026-01-27T11:05:06.789Z","code_version":"0.1.0","counts":{"violations":%d},'
        b'"kind":"audit.recorded","run_id":"00000000-0000-0000-0000-000000000000","stream":"job-%d","v":1}'
    )
    entries = [template % (number, number % 1000) for number in range(leaves)]
    index = [(f"job-{number % 1000}", number) for number in range(leaves)]
    signer = _Signer()
    key = note.ecdsa_key("bench.example/ledger", signer.public_key)
    with tempfile.TemporaryDirectory() as directory:
        folder = Folder(Path(directory))

        def build() -> None:
            edge = tiles.Edge()
            for path, body in {**edge.add(entries), **edge.partial()}.items():
                folder.write(path, body)
            head = checkpoint.sign(key.name, edge.size, edge.root(), signer)
            folder.write("checkpoint", head.signed)

        built = _seconds(build)

        def check(rows: list[tuple[str, int]] | None) -> None:
            report = verify(folder, [key], index=rows)
            assert report.verified, report.damage
            assert report.checkpoint is not None
            assert report.checkpoint.size == leaves

        verified = _seconds(lambda: check(None))
        with_index = _seconds(lambda: check(index))
        reader = tiles.Reader(leaves, folder.read)
        wanted = [number * 7919 % leaves for number in range(1000)]
        merkle.inclusion_proof(0, leaves, reader.subtree)
        proofs = [_seconds(lambda at=at: merkle.inclusion_proof(at, leaves, reader.subtree)) for at in wanted]
        root = checkpoint.parse(folder.read("checkpoint")).root
        checks = []
        for at in wanted:
            path = merkle.inclusion_proof(at, leaves, reader.subtree)
            leaf = merkle.leaf_hash(entries[at])
            checks.append(
                _seconds(
                    lambda leaf=leaf, at=at, path=path: merkle.verify_inclusion(leaf, at, leaves, path, root)
                )
            )
    return {
        "leaves": leaves,
        "build_seconds": round(built, 2),
        "verify_seconds": round(verified, 2),
        "verify_with_index_seconds": round(with_index, 2),
        "proof_p50_ms": round(1000 * statistics.median(proofs), 3),
        "proof_verified_p50_ms": round(1000 * statistics.median(checks), 3),
    }


class _Signer:
    def __init__(self) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        self._key = ec.generate_private_key(ec.SECP256R1())
        self.public_key = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, message: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
