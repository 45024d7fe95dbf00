"""Keys of KMS: those to sign with are the same after a restart."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local_aws.process import running


def kms(names: dict[str, str], endpoint: str) -> Any:
    return boto3.client(
        "kms",
        endpoint_url=endpoint,
        region_name=names["AWS_REGION"],
        aws_access_key_id=names["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=names["AWS_SECRET_ACCESS_KEY"],
    )


def test_a_key_outlives_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(state=state) as server:
        client = kms(dict(server.environment), server.endpoint)
        made = [
            client.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
            for _ in range(2)
        ]
        client.create_alias(AliasName="alias/one", TargetKeyId=made[0])
        public = [client.get_public_key(KeyId=key)["PublicKey"] for key in made]
        with pytest.raises(ClientError, match="no RSA keys"):
            client.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")
    assert public[0] != public[1]
    with running(state=state) as server:
        client = kms(dict(server.environment), server.endpoint)
        assert [client.get_public_key(KeyId=key)["PublicKey"] for key in made] == public
        signature = client.sign(
            KeyId="alias/one", Message=b"message", MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256"
        )["Signature"]
    key = serialization.load_der_public_key(public[0])
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, b"message", ec.ECDSA(hashes.SHA256()))
