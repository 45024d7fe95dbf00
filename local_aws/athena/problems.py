"""The API's own errors."""

from moto.core.exceptions import JsonRESTError


class InvalidRequest(JsonRESTError):  # noqa: N818  # AWS's name
    """InvalidRequestException: something is wrong with the request."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("InvalidRequestException", message)


class ResourceNotFound(JsonRESTError):  # noqa: N818  # AWS's name
    """ResourceNotFoundException: a prepared statement that is not there."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("ResourceNotFoundException", message)


class MetadataProblem(JsonRESTError):  # noqa: N818  # AWS's name
    """MetadataException: the catalog has no such database or table."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("MetadataException", message)
