"""Whatever happens to an object of any kind on its way, reading it ends, raises nothing and is told."""

import bz2
import gzip
import lzma
import random
from functools import cache

import pytest
from backports import zstd

from privacy_assets.scan.reading import Limits
from tests.scan.reading.objects import VALUE, Forward, seen
from tests.scan.reading.test_archives import sevenzipped, tarred
from tests.scan.reading.test_columnar import SCHEMA, as_orc, avro, parquet, people, table
from tests.scan.reading.test_mail import message
from tests.scan.reading.test_office import letter, workbook
from tests.scan.reading.test_pdf import book, written
from tests.scan.reading.test_zipped import zipped

TEXT = b"".join(b"%d,a line,%s\n" % (number, VALUE.encode()) for number in range(400))
LIMITS = Limits(seconds=20, free=16 * 1024 * 1024, memory=64 * 1024 * 1024)


@cache
def objects() -> dict[str, bytes]:
    return {
        "a.txt": TEXT,
        "a.csv": b"id,note,ssn\n" + TEXT,
        "utf16.txt": TEXT.decode().encode("utf-16"),
        "a.gz": gzip.compress(TEXT),
        "a.bz2": bz2.compress(TEXT),
        "a.xz": lzma.compress(TEXT),
        "a.zst": zstd.compress(TEXT),
        "a.tar": tarred({"a.txt": TEXT, "b.txt": TEXT}),
        "a.tgz": gzip.compress(tarred({"a.txt": TEXT, "b.zip": zipped({"a.txt": TEXT})})),
        "a.zip": zipped({"a.txt": TEXT, "b.txt": TEXT}),
        "a.7z": sevenzipped({"a.txt": TEXT, "b.txt": TEXT}),
        "a.parquet": parquet(table(), row_group_size=1000),
        "a.orc": as_orc(table()),
        "a.avro": avro(people(), SCHEMA, "deflate"),
        "a.docx": letter(),
        "a.xlsx": workbook(),
        "a.pdf": written(book()),
        "a.eml": message().as_bytes(),
    }


def damaged(content: bytes, chance: random.Random) -> bytes:
    """``content`` with bytes flipped, cut out, doubled, or broken off."""
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 3, 20])):
        at = chance.randrange(max(1, len(changed)))
        size = chance.choice([1, 4, 200])
        match chance.randrange(5):
            case 0 if changed:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at : at + size] = chance.randbytes(size)
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + size]
            case _:
                del changed[max(at, len(changed) // 2) :]
    return bytes(changed)


@pytest.mark.parametrize("name", objects())
@pytest.mark.parametrize("seed", range(12))
def test_damage_is_told(name: str, seed: int) -> None:
    chance = random.Random(f"{name} {seed}")
    content = damaged(objects()[name], chance)
    result = seen(Forward(content, step=1 << 16) if seed % 2 else content, name, limits=LIMITS)
    assert result.text_bytes or result.unread or not content


@pytest.mark.parametrize("name", objects())
def test_what_is_whole_is_read(name: str) -> None:
    result = seen(objects()[name], name)
    assert result.places
    assert set(result.whys) <= {"docProps/thumbnail.jpeg"}
    assert seen(Forward(objects()[name]), name).places == result.places


@pytest.mark.parametrize("name", objects())
def test_two_readings_are_alike(name: str) -> None:
    content = damaged(objects()[name], random.Random(name))
    first, second = seen(content, name), seen(Forward(content, step=997), name)
    assert first.texts == second.texts
    assert first.unread == second.unread
