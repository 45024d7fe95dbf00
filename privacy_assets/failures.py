"""An error as one line for a person: what, where, and what to do about it.

Nothing is imported to recognise an error: its class tells by name, so that explaining one costs nothing.
"""

from collections.abc import Iterator

NO_AWS = (
    "nothing answers at {endpoint}: start AWS on this machine with `privacy-assets up` (or "
    "`privacy-assets aws up`, then eval $(privacy-assets aws env)), or unset AWS_ENDPOINT_URL to talk to "
    "your account"
)
OWN_PACKAGES = ("privacy_assets", "resources", "local_aws", "typer", "sensors", "schedules")
UNREACHABLE = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionRefusedError",
)
NO_ACCOUNT = ("NoCredentialsError", "PartialCredentialsError", "NoRegionError", "ProfileNotFound")

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SHOWN = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in _CONTROLS
    if chr(code) not in "\n\t"
}


def printable(text: str) -> str:
    """Text from elsewhere for a terminal: what would steer it, escapes and directions, as ``\\x1b``."""
    return text.translate(_SHOWN)


def explain(error: BaseException) -> str:
    """The line for ``error``; one that we did not foresee says how to see where it comes from."""
    if _own(error):
        return _line(error)
    for cause in _chain(error):
        kind = type(cause).__name__
        if kind in UNREACHABLE:
            return NO_AWS.format(endpoint=_endpoint(cause))
        if kind in NO_ACCOUNT:
            said = _line(cause).removesuffix(".")
            return f"{said}; for AWS on this machine: eval $(privacy-assets aws env)"
    if foreseen(error):
        return _line(error)
    return f"{type(error).__name__}: {_line(error)} (PRIVACY_ASSETS_DEBUG=1 shows where)"


def foreseen(error: BaseException) -> bool:
    """Whether the error's own words say what is wrong: ours, the command line's, AWS's or the file
    system's.
    """
    package = type(error).__module__.split(".")[0]
    return _own(error) or package == "botocore" or isinstance(error, OSError)


def _own(error: BaseException) -> bool:
    return type(error).__module__.split(".")[0] in OWN_PACKAGES


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _endpoint(error: BaseException) -> str:
    kwargs = getattr(error, "kwargs", {})
    return str(kwargs.get("endpoint_url", "AWS")) if isinstance(kwargs, dict) else "AWS"


def _line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return printable(f"{error.filename}: {error.strerror}")
    format_message = getattr(error, "format_message", None)
    text = str(format_message() if callable(format_message) else error)
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    joint = "\n" if type(error).__name__ == "EstateError" else " "  # it tells of each mistake in a line
    return printable(joint.join(lines)) or type(error).__name__
