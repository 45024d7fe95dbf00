"""The names of what runs the product; what the product itself names stands in its settings."""

from infra.stages import Stage

ALERT_KEY = "alias/privacy-alerts"
CLUSTER = "privacy-assets"
REPOSITORY = "privacy-assets"
RUN_FAMILY = "privacy-run"
LOGS = "/privacy-assets/"
ACCESS_LOGS = "privacy-access-logs"
DAGSTER_LOGS = "privacy-dagster-logs"
DATABASE_USER = "dagster"


def suffixed(bucket: str, stage: Stage) -> str:
    """The name of a bucket of our own, unique in the world."""
    return bucket + stage.bucket_suffix.format(account=stage.account, region=stage.region)


def role_name(part: str) -> str:
    """The name of a part's role."""
    return f"privacy-{part}"


def log_group(part: str) -> str:
    """The log group of a service, or of all runs."""
    return f"{LOGS}{part}"
