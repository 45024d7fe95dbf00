"""The API's secrets in Secrets Manager: signing keys, the clients' registry, and each client's own secret.

A document is changed by a version that takes the label AWSCURRENT from the version that was read: of two who
change it at once one is told so and reads again. Rotation's four steps stand on the same calls.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from resources import clients, settings

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
_DESCRIPTION = "An API client's secret, for its program to read"
_ATTEMPTS = 12
_LIMIT_BYTES = 65_536


class SecretsFull(ValueError):  # noqa: N818  # what it is
    """A document has outgrown a secret's 65,536 bytes."""


class Version(NamedTuple):
    """One version of a secret."""

    id: str
    text: str


@dataclass(frozen=True)
class ApiSecrets:
    """All secrets of one API; their names begin with ``prefix``.

    ``is_waited_for``: somebody waits for each call, who is better told soon that it can't be done.
    """

    prefix: str
    is_waited_for: bool = False

    @classmethod
    def from_settings(cls, *, is_waited_for: bool = False) -> "ApiSecrets":
        return cls(settings.API_SECRETS.value(), is_waited_for)

    @property
    def _client(self) -> Any:
        if self.is_waited_for:
            return clients.client("secretsmanager", attempts=2, timeouts=(2.0, 3.0))
        return clients.client("secretsmanager")

    def _name(self, what: str) -> str:
        return f"{self.prefix}/{what}"

    def name_of(self, client_id: str) -> str:
        """What the client's own secret is called."""
        return self._name(f"client/{client_id}")

    def registry(self) -> str:
        """The clients and their hashed secrets; empty before there is one."""
        return self._text("clients")

    def signing_keys(self) -> str:
        """The signing keys; empty before there is one."""
        return self._text("signing-keys")

    def change_registry(self, change: Callable[[str], str]) -> str:
        """Put ``change(registry)`` in its place; it is called again when another was faster. Answers it."""
        return self._change("clients", change)

    def change_signing_keys(self, change: Callable[[str], str]) -> str:
        """As ``change_registry``."""
        return self._change("signing-keys", change)

    def client_secret(self, client_id: str, *, pending: bool = False) -> str:
        """The client's own secret, which its program reads: JSON of ``client_id`` and ``client_secret``.

        ``pending`` is the one that a rotation has made and not finished. Empty when there is none.
        """
        found = self._version(f"client/{client_id}", PENDING if pending else CURRENT)
        return found.text if found else ""

    def create_client_secret(self, client_id: str, text: str) -> bool:
        """Store a new client's own secret, of two who do so at once one; whether it was not there yet."""
        try:
            self._client.create_secret(
                Name=self._name(f"client/{client_id}"), Description=_DESCRIPTION, SecretString=text
            )
        except self._client.exceptions.ResourceExistsException:
            return False
        return True

    def put_pending_secret(self, client_id: str, text: str) -> None:
        """Store the secret that a rotation has made for a client; none for one that was revoked meanwhile."""
        try:
            self._client.put_secret_value(
                SecretId=self._name(f"client/{client_id}"),
                ClientRequestToken=str(uuid.uuid4()),
                SecretString=text,
                VersionStages=[PENDING],
            )
        except self._client.exceptions.ResourceNotFoundException:
            return

    def finish_client_secret(self, client_id: str) -> None:
        """Make the pending version the current one."""
        what = f"client/{client_id}"
        pending, current = self._version(what, PENDING), self._version(what, CURRENT)
        if pending is None or (current is not None and pending.id == current.id):
            return
        self._move(what, CURRENT, pending.id, current.id if current else None)
        self._client.update_secret_version_stage(
            SecretId=self._name(what), VersionStage=PENDING, RemoveFromVersionId=pending.id
        )

    def delete_client_secret(self, client_id: str) -> None:
        """Delete the client's own secret for good; one that is gone is no error."""
        try:
            self._client.delete_secret(
                SecretId=self._name(f"client/{client_id}"), ForceDeleteWithoutRecovery=True
            )
        except self._client.exceptions.ResourceNotFoundException:
            return

    def _text(self, what: str) -> str:
        found = self._version(what, CURRENT)
        return found.text if found else ""

    def _version(self, what: str, stage: str) -> Version | None:
        try:
            found = self._client.get_secret_value(SecretId=self._name(what), VersionStage=stage)
        except self._client.exceptions.ResourceNotFoundException:
            return None
        return Version(found["VersionId"], found["SecretString"])

    def _change(self, what: str, change: Callable[[str], str]) -> str:
        for attempt in range(1, _ATTEMPTS + 1):
            current = self._version(what, CURRENT)
            text = change(current.text if current else "")
            if current is not None and text == current.text:
                return text
            if len(text.encode()) > _LIMIT_BYTES:
                raise SecretsFull(
                    f"{self._name(what)}: {len(text):,} bytes, expected at most {_LIMIT_BYTES:,}"
                )
            try:
                if current is None:
                    self._client.create_secret(Name=self._name(what), SecretString=text)
                else:
                    self._put(what, text, current.id)
            except (
                self._client.exceptions.InvalidParameterException,
                self._client.exceptions.ResourceExistsException,
            ):
                if attempt == _ATTEMPTS:
                    raise
            else:
                return text
        raise AssertionError("unreachable")

    def _put(self, what: str, text: str, current: str) -> None:
        # A label of its own: two who change at once must not take AWSPENDING from one another.
        token = str(uuid.uuid4())
        self._client.put_secret_value(
            SecretId=self._name(what),
            ClientRequestToken=token,
            SecretString=text,
            VersionStages=[f"change-{token}"],
        )
        try:
            self._move(what, CURRENT, token, current)
        finally:
            self._client.update_secret_version_stage(
                SecretId=self._name(what), VersionStage=f"change-{token}", RemoveFromVersionId=token
            )

    def _move(self, what: str, stage: str, to: str, current: str | None) -> None:
        self._client.update_secret_version_stage(
            SecretId=self._name(what),
            VersionStage=stage,
            MoveToVersionId=to,
            **({"RemoveFromVersionId": current} if current else {}),
        )
