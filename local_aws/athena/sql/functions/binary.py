"""Binaries, hashes, encodings and URLs (https://trino.io/docs/current/functions/binary.html, …/url.html)."""

from local_aws.athena.sql.core import Value
from local_aws.athena.sql.functions.call import Call, function, simple

simple("to_hex", "varbinary -> varchar", "hex({0})")
simple("from_hex", "varchar -> varbinary|varbinary -> varbinary", "from_hex({0})")
simple("to_base64", "varbinary -> varchar", "to_base64({0})")
simple("from_base64", "varchar -> varbinary", "from_base64({0})")
simple("to_base64url", "varbinary -> varchar", "translate(to_base64({0}), '+/', '-_')")
simple("md5", "varbinary -> varbinary", "from_hex(md5({0}))")
simple("sha1", "varbinary -> varbinary", "from_hex(sha1({0}))")
simple("sha256", "varbinary -> varbinary", "from_hex(sha256({0}))")
simple("sha512", "varbinary -> varbinary", "blob_sha512({0})")
simple("crc32", "varbinary -> bigint", "blob_crc32({0})")
simple("hmac_sha256", "varbinary; varbinary -> varbinary", "blob_hmac_sha256({0}, {1})")
for _part in ("protocol", "host", "path", "query", "fragment"):
    simple(f"url_extract_{_part}", "varchar -> varchar", f"url_part({{0}}, '{_part}')")
simple("url_extract_port", "varchar -> bigint", "CAST(url_part({0}, 'port') AS BIGINT)")
simple("url_extract_parameter", "varchar; varchar -> varchar", "url_parameter({0}, {1})")
simple("url_encode", "varchar -> varchar", "url_encoded({0})")
simple("url_decode", "varchar -> varchar", "url_decoded({0})")


@function("to_big_endian_64", "from_big_endian_64", "murmur3", "spooky_hash_v2_64", "xxhash64")
def unsupported(call: Call) -> Value:
    raise call.c.query.error(call.node, "NOT_SUPPORTED", f"{call.name} is not supported")
