"""AWS at a distance: every call takes 15 ms, and none of them costs this machine more than that.

``python -m benchmarks.distant <endpoint> <messages> <bucket> <table> [events]`` prints the port it serves.
The calls of which there is one a record (or one for ten) are answered here: a queue of so many messages,
a deletion in each or so many events, objects that are taken and given, items that are put. All others go on
to the local AWS at ``endpoint``, after the same 15 ms.
"""

import asyncio
import json
import sys
from urllib.parse import unquote, urlsplit

import uvloop

DELAY = 0.015
STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/{table}/stream/2026-01-01T00:00:00.000"


def record(number: int, table: str) -> str:
    """A deletion of about a kilobyte."""
    item = {
        "log_id": {"S": f"log-{number:09d}"},
        "subject_id": {"S": f"subject-{number % 5000}"},
        "message": {"S": "x" * 600},
    }
    told = {
        "ApproximateCreationDateTime": 1_790_000_000 + number // 1000,
        "Keys": {"log_id": item["log_id"]},
        "OldImage": item,
        "SequenceNumber": f"{number + 1:021d}",
        "SizeBytes": 700,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    return json.dumps(
        {
            "eventID": f"{number:032x}",
            "eventName": "REMOVE",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": told,
            "eventSourceARN": STREAM.format(table=table),
        }
    )


def events(number: int, each: int) -> str:
    """A message of so many events of about 300 bytes, a hundred a second."""
    told = []
    for event in range(number * each, (number + 1) * each):
        seconds = event // 100
        moment = f"2026-01-31T{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        told.append(
            f'{{"accepted_at":"{moment}.250000Z","client":"shop","event":{{"event_id":"{event:032x}",'
            f'"subject_id":"subject-{event % 5000}","event_time":"{moment}Z","event_type":"processing",'
            '"purpose":"newsletter","legal_basis":"consent","jurisdiction":"DE",'
            '"data_categories":["contact","location"],"extra":{"app_version":"4.2.0"}}}'
        )
    return f'{{"version":1,"events":[{",".join(told)}]}}'


class Distant:
    """The server. ``bucket`` is the archive's, ``table`` the governed one; ``each`` is of events, if any."""

    def __init__(self, endpoint: str, messages: int, bucket: str, table: str, each: int = 0) -> None:
        parts = urlsplit(endpoint)
        self._host, self._port = parts.hostname, parts.port
        self._left, self._given, self._each = messages, 0, each
        self._bucket, self._table = bucket, table
        self.port = 0

    async def serve(self) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, backlog=512, limit=1 << 22)
        self.port = server.sockets[0].getsockname()[1]
        print(self.port, flush=True)
        async with server:
            await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = None
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                headers = _headers(head)
                if b"100-continue" in headers.get(b"expect", b""):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await _body(reader, headers)
                await asyncio.sleep(DELAY)
                answer = self._own(head, headers, body)
                if answer is None:
                    if upstream is None:
                        upstream = await asyncio.open_connection(self._host, self._port, limit=1 << 26)
                    await _forward(upstream, head, body, writer)
                else:
                    writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            if upstream is not None:
                upstream[1].close()

    def _own(self, head: bytes, headers: dict[bytes, bytes], body: bytes) -> bytes | None:
        method, path, _ = head.split(b" ", 2)
        target = headers.get(b"x-amz-target", b"")
        if self._bucket and path.startswith(f"/{self._bucket}/".encode()):
            if method == b"PUT":
                return _answer(b"", b'x-amz-version-id: v\r\nETag: "e"\r\n')
            if method == b"GET":
                name = unquote(path.split(b"?")[0].decode()).rpartition("log-")[2].removesuffix(".json")
                return _answer(record(int(name), self._table).encode(), b"x-amz-version-id: v\r\n")
        if target == b"AmazonSQS.ReceiveMessage":
            return _answer(json.dumps({"Messages": self._messages()}).encode())
        if target == b"AmazonSQS.DeleteMessageBatch":
            return _answer(b'{"Successful": [], "Failed": []}')
        if target == b"DynamoDB_20120810.BatchGetItem":
            return _answer(json.dumps({"Responses": {}, "UnprocessedKeys": {}}).encode())
        if target == b"DynamoDB_20120810.PutItem" and f'"TableName":"{self._table}"'.encode() in body:
            return _answer(b"{}")
        return None

    def _messages(self) -> list[dict[str, str]]:
        count = min(10, self._left)
        self._left -= count
        first, self._given = self._given, self._given + count
        return [
            {
                "MessageId": str(number),
                "ReceiptHandle": str(number),
                "Body": events(number, self._each) if self._each else record(number, self._table),
            }
            for number in range(first, first + count)
        ]


def _headers(head: bytes) -> dict[bytes, bytes]:
    lines = head.split(b"\r\n")[1:]
    return {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in lines if line)
    }


async def _body(reader: asyncio.StreamReader, headers: dict[bytes, bytes]) -> bytes:
    if headers.get(b"transfer-encoding") == b"chunked":
        parts = []
        while True:
            size = await reader.readuntil(b"\r\n")
            chunk = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
            parts += [size, chunk]
            if size.strip().split(b";")[0] == b"0":
                return b"".join(parts)
    return await reader.readexactly(int(headers.get(b"content-length", b"0")))


async def _forward(upstream, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
    up_reader, up_writer = upstream
    lines = head.split(b"\r\n")
    up_writer.write(b"\r\n".join(line for line in lines if not line.lower().startswith(b"expect:")) + body)
    answer = await up_reader.readuntil(b"\r\n\r\n")
    writer.write(answer)
    status = int(answer.split(b" ", 2)[1])
    if not head.startswith(b"HEAD") and status not in (204, 304):
        writer.write(await _body(up_reader, _headers(answer)))
    await writer.drain()


def _answer(body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), headers, body)


if __name__ == "__main__":
    uvloop.run(Distant(sys.argv[1], int(sys.argv[2]), *sys.argv[3:5], *map(int, sys.argv[5:])).serve())
