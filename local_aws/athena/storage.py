"""Writing to S3 through the server's front door."""

from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_aws.athena.errors import QueryError
from local_aws.athena.scan.tables import split_location

PART = 64 * 1024 * 1024


def put_file(s3: Any, address: str, path: Path) -> None:
    """Write a local file to an s3:// address and remove it. Raises QueryError when S3 refuses."""
    bucket, key = split_location(address)
    try:
        if path.stat().st_size > PART:
            s3.upload_file(str(path), bucket, key)
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    except ClientError as error:
        raise _refused(error, address) from None
    finally:
        path.unlink(missing_ok=True)


def put_bytes(s3: Any, address: str, data: bytes) -> None:
    """Write an object. Raises QueryError when S3 refuses."""
    bucket, key = split_location(address)
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=data)
    except ClientError as error:
        raise _refused(error, address) from None


def _refused(error: ClientError, address: str) -> QueryError:
    reason = error.response["Error"].get("Message", "")
    return QueryError("INVALID_OUTPUT_LOCATION", f"Unable to write to {address}: {reason}")
