"""Every environment variable of the product, declared once: name, default and meaning.

What does not belong here: the standard variables of the AWS SDK (``AWS_ENDPOINT_URL``, ``AWS_REGION`` and the
credentials), which boto3 reads itself.  ``docs/settings.md`` is printed from this module
(``python -m resources.settings``).
"""

import os
import sys
from dataclasses import dataclass

PREFIX = "PRIVACY_ASSETS_"


class SettingError(ValueError):
    """A setting holds what it can't; the message is one line that names it and says what was expected."""


@dataclass(frozen=True)
class Setting:
    """One environment variable.  ``default`` holds when it is unset or empty.

    ``is_number`` says that it must be a positive one; ``everywhere`` that it holds on the AWS that ``demo``
    and ``up`` start too, where all else is as by default.
    """

    name: str
    default: str
    meaning: str
    is_number: bool = False
    everywhere: bool = False

    def value(self) -> str:
        """The setting as it is now."""
        return os.environ.get(self.name) or self.default

    def source(self) -> str:
        """For a resource's field: read when a run starts if the variable is set, the default if not."""
        import dagster as dg  # here, so that the command can ask for a setting without loading Dagster

        return dg.EnvVar(self.name) if os.environ.get(self.name) else self.default

    def number(self) -> float:
        """The setting as a positive number.  Raises SettingError."""
        try:
            number = float(self.value())
        except ValueError:
            number = -1
        if not 0 < number < float("inf"):
            raise SettingError(f"{self.name}: {self.value()!r}, expected a number above 0")
        return number


_ACCOUNT = "123456789012"

LAKE_BUCKET = Setting(
    f"{PREFIX}LAKE_BUCKET", "privacy-lake", "S3 bucket of exports, snapshots, audit results and reports"
)
EXPORT_QUEUE = Setting(
    f"{PREFIX}EXPORT_QUEUE", "privacy-exports", "SQS queue that hears of finished exports (its name)"
)
EXPORT_DEAD_LETTER_QUEUE = Setting(
    f"{PREFIX}EXPORT_DEAD_LETTER_QUEUE",
    "privacy-exports-dead-letters",
    "SQS queue for messages that say nothing we understand, with the reason (its name)",
)
GLUE_DATABASE = Setting(f"{PREFIX}GLUE_DATABASE", "privacy", "Glue database of all tables")
ATHENA_WORKGROUP = Setting(
    f"{PREFIX}ATHENA_WORKGROUP", "privacy-assets", "Athena workgroup that queries run in"
)
CRAWLER_ROLE = Setting(
    f"{PREFIX}CRAWLER_ROLE",
    f"arn:aws:iam::{_ACCOUNT}:role/privacy-crawler",
    "IAM role that the crawlers assume",
)
ALERT_TOPIC_ARN = Setting(
    f"{PREFIX}ALERT_TOPIC_ARN",
    f"arn:aws:sns:us-east-1:{_ACCOUNT}:privacy-alerts",
    "SNS topic that violations and failed runs are told to",
)
SCAN_QUEUE = Setting(
    f"{PREFIX}SCAN_QUEUE", "privacy-scan-requests", "SQS queue of scans that are asked for (its name)"
)
SCAN_DEAD_LETTER_QUEUE = Setting(
    f"{PREFIX}SCAN_DEAD_LETTER_QUEUE",
    "privacy-scan-dead-letters",
    "SQS queue for requests that can't be understood and objects that failed three times (its name)",
)
SCAN_JOBS_TABLE = Setting(
    f"{PREFIX}SCAN_JOBS_TABLE", "privacy-scan-jobs", "DynamoDB table of scans and their progress"
)
SCAN_PROCESSES = Setting(
    f"{PREFIX}SCAN_PROCESSES",
    "",
    "processes that scan a shard; as many as there are cores if empty",
    is_number=True,
)
DETECTORS = Setting(
    f"{PREFIX}DETECTORS",
    "",
    "file of own detectors and allow lists for scans of buckets (YAML); none if empty",
)
ARCHIVE_BUCKET = Setting(
    f"{PREFIX}ARCHIVE_BUCKET", "privacy-archive", "S3 bucket of deleted records, versioned"
)
ARCHIVE_KEY = Setting(
    f"{PREFIX}ARCHIVE_KEY",
    "alias/privacy-archive",
    "alias of the KMS key that deleted records are encrypted with",
)
DELETION_QUEUE = Setting(
    f"{PREFIX}DELETION_QUEUE",
    "privacy-deletions",
    "SQS queue that the tables' pipes send deletions to (its name)",
)
DELETION_DEAD_LETTER_QUEUE = Setting(
    f"{PREFIX}DELETION_DEAD_LETTER_QUEUE",
    "privacy-deletions-dead-letters",
    "SQS queue for deletions that can't be archived, with the reason (its name)",
)
PIPE_DEAD_LETTER_QUEUE = Setting(
    f"{PREFIX}PIPE_DEAD_LETTER_QUEUE",
    "privacy-pipe-dead-letters",
    "SQS queue in which pipes name the records that they could not pass on (its name)",
)
PIPE_ROLE = Setting(
    f"{PREFIX}PIPE_ROLE", f"arn:aws:iam::{_ACCOUNT}:role/privacy-pipes", "IAM role that the pipes assume"
)
ERASURE_TABLE = Setting(
    f"{PREFIX}ERASURE_TABLE",
    "privacy-erasures",
    "DynamoDB table that says which subjects were erased, by which request",
)
DELETION_ALERT_HOURS = Setting(
    f"{PREFIX}DELETION_ALERT_HOURS",
    "12",
    "age of the oldest deletion that waits from which on people are alerted; a stream forgets after 24 hours",
)
EVENT_QUEUE = Setting(
    f"{PREFIX}EVENT_QUEUE", "privacy-events", "SQS queue of events that were accepted (its name)"
)
EVENT_DEAD_LETTER_QUEUE = Setting(
    f"{PREFIX}EVENT_DEAD_LETTER_QUEUE",
    "privacy-events-dead-letters",
    "SQS queue for messages that hold no events, with the reason (its name)",
)
EVENT_LAG_SECONDS = Setting(
    f"{PREFIX}EVENT_LAG_SECONDS",
    "300",
    "how long an event may take from being accepted to being queryable before a check warns",
    is_number=True,
)
EVENT_ALERT_SECONDS = Setting(
    f"{PREFIX}EVENT_ALERT_SECONDS",
    "3600",
    "age of the oldest event that waits from which on people are alerted; a queue forgets after 14 days",
    is_number=True,
)
API_SECRETS = Setting(
    f"{PREFIX}API_SECRETS",
    "privacy-api",
    "what the names of the API's secrets in Secrets Manager begin with: signing keys, clients",
)
API_STATE_TABLE = Setting(
    f"{PREFIX}API_STATE_TABLE",
    "privacy-api-state",
    "DynamoDB table of the API's rate limits and of answers by Idempotency-Key",
)
API_AUDIENCE = Setting(
    f"{PREFIX}API_AUDIENCE", "privacy-assets", "the audience that tokens are for; also the issuer of our own"
)
API_OIDC_ISSUER = Setting(
    f"{PREFIX}API_OIDC_ISSUER",
    "",
    "OIDC issuer whose access tokens the API accepts too, such as a Cognito user pool's; none if empty",
)
API_OIDC_KEYS = Setting(
    f"{PREFIX}API_OIDC_KEYS", "", "where that issuer's key set is; `<issuer>/.well-known/jwks.json` if empty"
)
API_PROXIES = Setting(
    f"{PREFIX}API_PROXIES",
    "",
    "addresses or networks of proxies, separated by commas, whose X-Forwarded-For the API believes",
)
API_REQUESTS_PER_CLIENT = Setting(
    f"{PREFIX}API_REQUESTS_PER_CLIENT", "12000", "requests a minute of one client of the API", is_number=True
)
API_REQUESTS_PER_ADDRESS = Setting(
    f"{PREFIX}API_REQUESTS_PER_ADDRESS",
    "24000",
    "requests a minute from one address to the API",
    is_number=True,
)
EVIDENCE_BUCKET = Setting(
    f"{PREFIX}EVIDENCE_BUCKET", "privacy-evidence", "S3 bucket of the ledger, under Object Lock"
)
LEDGER_TABLE = Setting(
    f"{PREFIX}LEDGER_TABLE", "privacy-ledger", "DynamoDB table of the ledger's head and index"
)
LEDGER_KEY = Setting(
    f"{PREFIX}LEDGER_KEY",
    "alias/privacy-ledger",
    "what signs the ledger's checkpoints: a KMS key (its alias or ARN), or the path of a `.pem` file",
)
LEDGER_RETENTION_DAYS = Setting(
    f"{PREFIX}LEDGER_RETENTION_DAYS",
    "2557",
    "for how many days Object Lock holds the ledger's entries and checkpoints",
    is_number=True,
)
LEDGER_LOCK_MODE = Setting(
    f"{PREFIX}LEDGER_LOCK_MODE",
    "COMPLIANCE",
    "how: `COMPLIANCE`, which nobody can shorten, the account's root neither, or `GOVERNANCE`",
)
DSAR_QUEUE = Setting(
    f"{PREFIX}DSAR_QUEUE", "dsar-requests", "SQS queue of data subject requests to be worked on (its name)"
)
DSAR_DEAD_LETTER_QUEUE = Setting(
    f"{PREFIX}DSAR_DEAD_LETTER_QUEUE",
    "dsar-requests-dead-letters",
    "SQS queue for messages about requests that say nothing we understand, with the reason (its name)",
)
DSAR_JOBS_TABLE = Setting(
    f"{PREFIX}DSAR_JOBS_TABLE", "privacy-requests", "DynamoDB table of data subject requests"
)
DSAR_BUCKET = Setting(
    f"{PREFIX}DSAR_BUCKET", "privacy-requests", "S3 bucket of answers to data subject requests"
)
DSAR_KEY = Setting(
    f"{PREFIX}DSAR_KEY",
    "alias/privacy-requests",
    "alias of the KMS key that answers, and what requests know of a subject, are encrypted with",
)
DSAR_TOPIC_ARN = Setting(
    f"{PREFIX}DSAR_TOPIC_ARN",
    f"arn:aws:sns:us-east-1:{_ACCOUNT}:privacy-requests",
    "SNS topic that ends of requests and deadlines that come near are told to",
)
DSAR_BUNDLE_DAYS = Setting(
    f"{PREFIX}DSAR_BUNDLE_DAYS",
    "30",
    "days after which an answer is deleted, and its partition retired",
    is_number=True,
)
ESTATE = Setting(
    f"{PREFIX}ESTATE",
    "estate.yaml",
    "what is governed; the default is the file in the project's own folder",
    everywhere=True,
)
AUDITS = Setting(
    f"{PREFIX}AUDITS", "audits", "directory of audits; the default is the project's own", everywhere=True
)
EXPORT_DEADLINE_SECONDS = Setting(
    f"{PREFIX}EXPORT_DEADLINE_SECONDS",
    "21600",
    "how long a run waits for an export before it fails",
    is_number=True,
)
CRAWL_DEADLINE_SECONDS = Setting(
    f"{PREFIX}CRAWL_DEADLINE_SECONDS",
    "3600",
    "how long a run waits for a crawl before it fails",
    is_number=True,
)
ATHENA_DEADLINE_SECONDS = Setting(
    f"{PREFIX}ATHENA_DEADLINE_SECONDS",
    "1800",
    "how long one query may take before it is stopped",
    is_number=True,
)
SENSOR_SECONDS = Setting(
    f"{PREFIX}SENSOR_SECONDS", "30", "seconds between two ticks of the sensors", is_number=True
)
EXPORT_POLL_SECONDS = Setting(
    f"{PREFIX}EXPORT_POLL_SECONDS",
    "120",
    "seconds after its start at which an export whose event has not come is asked for its state; "
    "doubles each time, up to 15 minutes",
    is_number=True,
)

RUN_ROLES = Setting(
    f"{PREFIX}RUN_ROLES",
    "",
    "what the ARNs of the jobs' roles begin with, where runs are tasks of ECS; the task's own role if empty",
)
SHARDS = Setting(
    f"{PREFIX}SHARDS",
    "in_process",
    "where the shards of a scan run: `in_process`, one after another, or `ecs`, each as a task",
)
DEBUG = Setting(
    f"{PREFIX}DEBUG",
    "",
    "anything: the command shows the stack trace of an error it did not expect",
    everywhere=True,
)

ALL: tuple[Setting, ...] = tuple(thing for thing in list(globals().values()) if isinstance(thing, Setting))


def check() -> None:
    """Raises SettingError for a number that is none, whether anything will read it or not."""
    for setting in ALL:
        if setting.is_number and setting.value():
            setting.number()


def documentation() -> str:
    """The page ``docs/settings.md``."""
    everywhere = [f"`{setting.name}`" for setting in ALL if setting.everywhere]

    def shown(setting: Setting) -> str:
        return f"`{setting.default}`" if setting.default else ""

    rows = [f"| `{setting.name}` | {shown(setting)} | {setting.meaning} |" for setting in ALL]
    return "\n".join(
        [
            "# Settings",
            "",
            "Environment variables, all optional. The AWS SDK reads its own (`AWS_ENDPOINT_URL`,",
            "`AWS_REGION`, credentials). This page is printed by `python -m resources.settings`.",
            "",
            "`privacy-assets demo` and `up` start an AWS of their own, where all has its default name. Of",
            f"these variables they take {', '.join(everywhere[:-1])} and",
            f"{everywhere[-1]} and ignore the others, but for a number that is none, which they refuse;",
            "their sensors tick every few seconds. They ignore `AWS_…` too, so that they reach no account.",
            "",
            "| variable | default | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(documentation())
