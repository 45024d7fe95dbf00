"""Who may do what: a role for each service and for each job, with what its code calls and no more.

Plain data, one function a part. A test records what each part calls on local AWS and holds it against the
synthesized policies, in both directions (``tests/infra/test_least_privilege.py``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.declared import Declared
from infra.names import (
    ALERT_KEY,
    CLUSTER,
    DAGSTER_LOGS,
    DATABASE_USER,
    RUN_FAMILY,
    log_group,
    role_name,
    suffixed,
)
from privacy_assets.archive.names import DELETIONS_TABLE
from privacy_assets.ingest.names import EVENTS
from privacy_assets.sizes import SIZES
from resources.measures import NAMESPACE
from resources.provision_archive import ArchiveNames

SERVICES = ("webserver", "auditors", "daemon", "code", "api")
RUN = "run"
"""The role of runs of no job: what is materialized by hand in the asset graph."""


@dataclass(frozen=True)
class Statement:
    """One statement of a policy that allows."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[str]
    conditions: Mapping[str, Any] = field(default_factory=dict)


class MissingPolicyError(ValueError):
    """A job has no policy."""


def run_part(job: str) -> str:
    """The name of a job's part: ``run-daily-audit``."""
    return f"{RUN}-{job.replace('_', '-')}"


def policies(declared: Declared) -> dict[str, list[Statement]]:
    """The statements of every part. Raises MissingPolicyError for a job that has none."""
    may = May(declared)
    if missing := sorted(set(SIZES) - set(JOBS)):
        raise MissingPolicyError(f"infra/parts.py: job {', '.join(missing)}: no policy, expected one in JOBS")
    jobs = {run_part(job): [*may.run(), *JOBS[job](may)] for job in SIZES}
    found = {
        "webserver": [*may.dagster(), *may.read_logs(), *may.stop_tasks()],
        "auditors": [*may.dagster(), *may.read_logs()],
        "daemon": [
            *may.dagster(),
            *may.write_logs(),
            *may.start_tasks(),
            *may.stop_tasks(),
            *may.read_task_logs(),
        ],
        "code": [*may.dagster(), *may.write_logs(), *_code(may)],
        "api": _api(may),
        **jobs,
        # Restores need an approval, so they are their job's alone.
        RUN: [statement for name in BY_HAND for statement in jobs[run_part(name)]],
    }
    return {part: _merged(statements) for part, statements in found.items()}


def _merged(statements: Sequence[Statement]) -> list[Statement]:
    found: dict[str, Statement] = {}
    for each in statements:
        seen = found.setdefault(each.sid, each)
        if seen != each:
            found[each.sid] = Statement(
                each.sid,
                sorted({*seen.actions, *each.actions}),
                sorted({*seen.resources, *each.resources}),
                each.conditions,
            )
    return list(found.values())


@dataclass(frozen=True)
class May:
    """What can be allowed, in the words of the product."""

    declared: Declared

    @property
    def account(self) -> str:
        return self.declared.stage.account

    @property
    def archive_names(self) -> ArchiveNames:
        assert self.declared.names.archive is not None
        return self.declared.names.archive

    def arn(self, service: str, name: str) -> str:
        return self.declared.stage.place.arn(service, name)

    @property
    def lake(self) -> str:
        return f"arn:aws:s3:::{self.declared.names.bucket}"

    # --- Dagster itself

    def dagster(self) -> list[Statement]:
        """What every process with an instance calls: it signs in to the database, and finds its launcher."""
        return [
            Statement("Database", ["rds-db:connect"], [self.arn("rds-db", f"dbuser:*/{DATABASE_USER}")]),
            # ECS knows no resources for it.
            Statement("Launcher", ["ecs:DescribeTaskDefinition"], ["*"]),
        ]

    def run(self) -> list[Statement]:
        """What every run calls, whatever its job."""
        return [*self.dagster(), *self.write_logs()]

    def write_logs(self) -> list[Statement]:
        """What steps say, ticks in the code location and backfills in the daemon."""
        logs = f"arn:aws:s3:::{suffixed(DAGSTER_LOGS, self.declared.stage)}"
        return [Statement("WriteLogs", ["s3:PutObject"], [f"{logs}/*"])]

    def read_logs(self) -> list[Statement]:
        logs = f"arn:aws:s3:::{suffixed(DAGSTER_LOGS, self.declared.stage)}"
        return [
            Statement("ReadLogs", ["s3:GetObject"], [f"{logs}/*"]),
            Statement("ListLogs", ["s3:ListBucket"], [logs]),
        ]

    def start_tasks(self, parts: Sequence[str] = ()) -> list[Statement]:
        """Start tasks of the one family that runs are, in one cluster, with the roles of ``parts``."""
        cluster = self.arn("ecs", f"cluster/{CLUSTER}")
        roles = parts or (RUN, *(run_part(job) for job in SIZES))
        return [
            Statement(
                "StartTasks",
                ["ecs:RunTask"],
                [self.arn("ecs", f"task-definition/{RUN_FAMILY}:*")],
                {"ArnEquals": {"ecs:cluster": cluster}},
            ),
            Statement(
                "TagTasks",
                ["ecs:TagResource"],
                [self.arn("ecs", f"task/{CLUSTER}/*")],
                {"StringEquals": {"ecs:CreateAction": "RunTask"}},
            ),
            Statement(
                "LookAtTasks",
                ["ecs:DescribeTasks"],
                [self.arn("ecs", f"task/{CLUSTER}/*")],
                {"ArnEquals": {"ecs:cluster": cluster}},
            ),
            # EC2 knows no resources for it. Dagster starts tasks in the network of the one that starts them.
            Statement("LookAtNetwork", ["ec2:DescribeNetworkInterfaces"], ["*"]),
            Statement(
                "GiveRoles",
                ["iam:PassRole"],
                [
                    f"arn:aws:iam::{self.account}:role/{role_name(part)}"
                    for part in (*roles, "task-execution")
                ],
                {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
            ),
        ]

    def read_task_logs(self) -> list[Statement]:
        """What a task said that died."""
        streams = self.arn("logs", f"log-group:{log_group(RUN)}:log-stream:*")
        return [Statement("TaskLogs", ["logs:GetLogEvents"], [streams])]

    def stop_tasks(self) -> list[Statement]:
        cluster = self.arn("ecs", f"cluster/{CLUSTER}")
        return [
            Statement(
                "StopTasks",
                ["ecs:DescribeTasks", "ecs:StopTask"],
                [self.arn("ecs", f"task/{CLUSTER}/*")],
                {"ArnEquals": {"ecs:cluster": cluster}},
            )
        ]

    # --- the lake and its catalog

    def list_lake(self) -> list[Statement]:
        """List, and be told that an object is not there rather than that it is forbidden."""
        return [Statement("ListLake", ["s3:ListBucket"], [self.lake])]

    def read_lake(self, *prefixes: str) -> list[Statement]:
        return [Statement("ReadLake", ["s3:GetObject"], [f"{self.lake}/{prefix}*" for prefix in prefixes])]

    def write_lake(self, *prefixes: str) -> list[Statement]:
        return [
            Statement(
                "WriteLake",
                ["s3:AbortMultipartUpload", "s3:PutObject"],
                [f"{self.lake}/{prefix}*" for prefix in prefixes],
            )
        ]

    def delete_lake(self, *prefixes: str) -> list[Statement]:
        """Delete so that the older version stays for the time in which a mistake is noticed."""
        return [
            Statement(
                "DeleteFromLake", ["s3:DeleteObject"], [f"{self.lake}/{prefix}*" for prefix in prefixes]
            )
        ]

    def forget(self, *prefixes: str) -> list[Statement]:
        """Delete for good: every version."""
        return [
            Statement(
                "Forget", ["s3:DeleteObjectVersion"], [f"{self.lake}/{prefix}*" for prefix in prefixes]
            ),
            Statement("ListVersions", ["s3:ListBucketVersions"], [self.lake]),
        ]

    def catalog(self, *, writes: bool = False, partitions: bool = False) -> list[Statement]:
        """The tables of the product's own database; ``partitions`` are of tables that are not Iceberg's."""
        database = self.declared.names.database
        places = [
            self.arn("glue", "catalog"),
            self.arn("glue", f"database/{database}"),
            self.arn("glue", f"table/{database}/*"),
        ]
        read, write = ["glue:GetTable"], ["glue:CreateTable", "glue:UpdateTable"]
        if partitions:
            read += ["glue:GetPartition", "glue:GetPartitions"]
            write += ["glue:CreatePartition", "glue:UpdatePartition"]
        return [
            Statement("ReadCatalog", read, places),
            *([Statement("WriteCatalog", ["glue:GetDatabase", *write], places)] if writes else []),
        ]

    def iceberg(self) -> list[Statement]:
        """Tables of Iceberg are read and written through the catalog and their files.

        A commit deletes the metadata of the one that is twenty before it.
        """
        return [
            *self.catalog(writes=True),
            *self.list_lake(),
            *self.read_lake("iceberg/"),
            *self.write_lake("iceberg/"),
            *self.delete_lake("iceberg/"),
        ]

    def query(self) -> list[Statement]:
        group = self.arn("athena", f"workgroup/{self.declared.names.workgroup}")
        return [
            Statement(
                "Query",
                [
                    "athena:GetQueryExecution",
                    "athena:GetQueryResults",
                    "athena:StartQueryExecution",
                    "athena:StopQueryExecution",
                ],
                [group],
            ),
            # Athena asks with the caller's rights where the bucket is.
            Statement("WhereLakeIs", ["s3:GetBucketLocation"], [self.lake]),
        ]

    def exports_of(self, *, lists: bool = True) -> list[Statement]:
        """Look at the exports of the governed tables; DynamoDB knows no resources for their list."""
        exports = [self.arn("dynamodb", f"table/{table}/export/*") for table in self.governed]
        return [
            Statement("LookAtExports", ["dynamodb:DescribeExport"], exports),
            *([Statement("ListExports", ["dynamodb:ListExports"], ["*"])] if lists else []),
        ]

    def metrics(self) -> list[Statement]:
        """Read how old the messages of a queue are; CloudWatch knows no resources for it."""
        return [Statement("ReadMetrics", ["cloudwatch:GetMetricStatistics"], ["*"])]

    # --- tables, queues, topics

    def table(self, sid: str, name: str, *actions: str) -> list[Statement]:
        found = [f"dynamodb:{action}" for action in actions]
        return [Statement(sid, found, [self.arn("dynamodb", f"table/{name}")])]

    def queue(self, sid: str, names: Sequence[str], *actions: str) -> list[Statement]:
        found = [f"sqs:{action}" for action in actions]
        return [Statement(sid, found, [self.arn("sqs", name) for name in names])]

    def tell(self, *topics: str) -> list[Statement]:
        names = topics or (self.declared.names.topic,)
        return [
            Statement("Tell", ["sns:Publish"], [self.arn("sns", name) for name in names]),
            *self.key("TellKey", ALERT_KEY, "kms:Decrypt", "kms:GenerateDataKey", via="sns"),
        ]

    def secret(self, what: str) -> list[str]:
        """One of the API's secrets: by its name while there is none, later with what is put behind names."""
        prefix = self.declared.stage.environment()["PRIVACY_ASSETS_API_SECRETS"]
        name = self.arn("secretsmanager", f"secret:{prefix}/{what}")
        return [name] if name.endswith("*") else [name, f"{name}-??????"]

    def requests(self, *, lists: bool = True) -> list[Statement]:
        """The table of data subject requests; ``lists``: all that are open, beside one whose id is known."""
        table = self.declared.stage.environment()["PRIVACY_ASSETS_DSAR_JOBS_TABLE"]
        return [
            *self.table("Requests", table, "GetItem", "PutItem"),
            *(self.table("OpenRequests", f"{table}/index/*", "Query") if lists else ()),
        ]

    def ask(self) -> list[Statement]:
        """Ask for the work on a request."""
        queue = self.declared.stage.environment()["PRIVACY_ASSETS_DSAR_QUEUE"]
        return self.queue("Ask", [queue], "GetQueueUrl", "SendMessage")

    def request_key(self) -> list[Statement]:
        """Encrypts what is known of a subject, in the table and in the bucket of answers."""
        alias = self.declared.stage.environment()["PRIVACY_ASSETS_DSAR_KEY"]
        return self.key("RequestKey", alias, "kms:Decrypt", "kms:GenerateDataKey")

    def clear_answers(self) -> list[Statement]:
        """Delete what was kept for a request that has ended."""
        bucket = f"arn:aws:s3:::{self.declared.stage.environment()['PRIVACY_ASSETS_DSAR_BUCKET']}"
        return [
            Statement("ClearAnswers", ["s3:DeleteObjectVersion"], [f"{bucket}/*"]),
            Statement("ListAnswers", ["s3:ListBucketVersions"], [bucket]),
        ]

    def ledger(self) -> list[Statement]:
        """Append to the ledger, prove, read; what is written is locked and never deleted from here."""
        settings = self.declared.stage.environment()
        evidence = f"arn:aws:s3:::{settings['PRIVACY_ASSETS_EVIDENCE_BUCKET']}"
        return [
            *self.table("Ledger", settings["PRIVACY_ASSETS_LEDGER_TABLE"], "GetItem", "PutItem", "Query"),
            Statement(
                "Evidence", ["s3:GetObject", "s3:PutObject", "s3:PutObjectRetention"], [f"{evidence}/*"]
            ),
            Statement("ListEvidence", ["s3:ListBucket"], [evidence]),
            *self.key("Sign", settings["PRIVACY_ASSETS_LEDGER_KEY"], "kms:GetPublicKey", "kms:Sign"),
        ]

    def key(self, sid: str, alias: str, *actions: str, via: str | None = None) -> list[Statement]:
        """A key by its alias, which is how it is named everywhere."""
        conditions: dict[str, Any] = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": [alias]}}
        if via:
            host = f"{via}.{self.declared.stage.region}.amazonaws.com"
            conditions["StringEquals"] = {"kms:ViaService": host}
        return [Statement(sid, list(actions), [self.arn("kms", "key/*")], conditions)]

    @property
    def governed(self) -> list[str]:
        return [table.table for table in self.declared.tables]


# --- what each part does


def _code(may: May) -> list[Statement]:
    """Schedules and sensors are evaluated in the code location."""
    settings = may.declared.stage.environment()
    names, archive = may.declared.names, may.archive_names
    listened = [names.queue, names.scan_requests]
    watched = [archive.queue, archive.dead_letters, archive.pipe_dead_letters]
    watched += [settings["PRIVACY_ASSETS_EVENT_QUEUE"], settings["PRIVACY_ASSETS_EVENT_DEAD_LETTER_QUEUE"]]
    return [
        *may.queue(
            "Listen", listened, "ChangeMessageVisibility", "DeleteMessage", "GetQueueUrl", "ReceiveMessage"
        ),
        *may.queue("Refuse", [names.dead_letters, names.scan_dead_letters], "GetQueueUrl", "SendMessage"),
        *may.queue("Watch", watched, "GetQueueAttributes", "GetQueueUrl"),
        *may.metrics(),
        Statement(
            "TellHealth",
            ["cloudwatch:PutMetricData"],
            ["*"],
            {"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
        ),
        *may.exports_of(lists=False),
        *may.table("ScanJobs", names.scan_jobs, "GetItem", "PutItem", "UpdateItem"),
        *may.queue(
            "ListenToRequests",
            [settings["PRIVACY_ASSETS_DSAR_QUEUE"]],
            "ChangeMessageVisibility",
            "DeleteMessage",
            "GetQueueUrl",
            "ReceiveMessage",
        ),
        *may.queue(
            "RefuseRequests",
            [settings["PRIVACY_ASSETS_DSAR_DEAD_LETTER_QUEUE"]],
            "GetQueueUrl",
            "SendMessage",
        ),
        *may.requests(),
        *may.ask(),
        *may.clear_answers(),
        *may.ledger(),
        *may.table("Erasures", archive.erasures, "DeleteItem", "Scan"),
        *may.tell(names.topic, settings["PRIVACY_ASSETS_DSAR_TOPIC_ARN"].rpartition(":")[2]),
    ]


def _nightly_exports(may: May) -> list[Statement]:
    tables = [may.arn("dynamodb", f"table/{table}") for table in may.governed]
    return [
        *may.exports_of(),
        *may.ledger(),
        Statement("Export", ["dynamodb:DescribeTable", "dynamodb:ExportTableToPointInTime"], tables),
        # DynamoDB writes an export with the rights of who asked for it.
        Statement(
            "ExportInto",
            ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl"],
            [f"{may.lake}/exports/*"],
        ),
    ]


def _daily_audit(may: May) -> list[Statement]:
    archive = may.archive_names
    crawlers = [may.arn("glue", f"crawler/{name}") for name in may.declared.of("crawler")]
    tables = [may.arn("dynamodb", f"table/{table}") for table in may.governed]
    return [
        *may.exports_of(),
        *may.ledger(),
        # Who was erased, held against the night's snapshot and what vanished since the one before.
        *may.table("Erasures", archive.erasures, "BatchGetItem", "GetItem", "Scan"),
        *may.key("ErasureKey", archive.key, "kms:Decrypt"),
        Statement("Tables", ["dynamodb:DescribeTable"], tables),
        Statement("Crawl", ["glue:GetCrawler", "glue:StartCrawler"], crawlers),
        *may.catalog(writes=True, partitions=True),
        *may.query(),
        *may.list_lake(),
        *may.read_lake("exports/", "snapshots/", "iceberg/", "athena/", "audits/", "reports/"),
        *may.write_lake("snapshots/", "iceberg/", "athena/", "audits/", "reports/"),
        *may.delete_lake("iceberg/", "snapshots/"),
        *may.queue(
            "Watch",
            [archive.queue, archive.dead_letters, archive.pipe_dead_letters],
            "GetQueueAttributes",
            "GetQueueUrl",
        ),
        *may.metrics(),
    ]


def _archive_deletions(may: May) -> list[Statement]:
    names = may.archive_names
    archive = f"arn:aws:s3:::{names.bucket}"
    streams = [may.arn("dynamodb", f"table/{table}/stream/*") for table in may.governed]
    return [
        *may.iceberg(),
        *may.forget(f"iceberg/{DELETIONS_TABLE}/"),
        *may.queue(
            "Take",
            [names.queue, names.dead_letters, names.pipe_dead_letters],
            "DeleteMessage",
            "GetQueueAttributes",
            "GetQueueUrl",
            "ReceiveMessage",
        ),
        *may.queue("Refuse", [names.dead_letters], "SendMessage"),
        Statement(
            "Archive",
            ["s3:DeleteObjectVersion", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"],
            [f"{archive}/*"],
        ),
        Statement("ListArchive", ["s3:ListBucket", "s3:ListBucketVersions"], [archive]),
        *may.key("ArchiveKey", names.key, "kms:Decrypt", "kms:GenerateDataKey"),
        *may.table("Erasures", names.erasures, "BatchGetItem", "GetItem", "PutItem"),
        # A pipe's dead letter names the records and not what they say: they are read again.
        Statement(
            "ReadAgain",
            ["dynamodb:GetRecords", "dynamodb:GetShardIterator"],
            streams,
        ),
    ]


def _archive_restore(may: May) -> list[Statement]:
    names = may.archive_names
    archive = f"arn:aws:s3:::{names.bucket}"
    tables = [may.arn("dynamodb", f"table/{table}") for table in may.governed]
    return [
        *may.ledger(),
        *may.iceberg(),
        *may.read_lake("restores/"),
        *may.write_lake("restores/"),
        *may.delete_lake("restores/"),
        # What a restore overwrites is archived before.
        Statement("Archive", ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], [f"{archive}/*"]),
        Statement("ListArchive", ["s3:ListBucket", "s3:ListBucketVersions"], [archive]),
        *may.key("ArchiveKey", names.key, "kms:Decrypt", "kms:GenerateDataKey"),
        *may.table("Erasures", names.erasures, "BatchGetItem", "GetItem"),
        Statement(
            "PutBack",
            [
                "dynamodb:DeleteItem",
                "dynamodb:DescribeTable",
                "dynamodb:DescribeTimeToLive",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
            ],
            tables,
        ),
    ]


def _scan_bucket(may: May) -> list[Statement]:
    names = may.declared.names
    buckets = [f"arn:aws:s3:::{bucket}" for bucket in may.declared.buckets_read]
    return [
        *may.iceberg(),
        *may.ledger(),
        *may.read_lake("scan/"),
        *may.write_lake("scan/"),
        *may.delete_lake("scan/"),
        *(
            [
                Statement("ScanList", ["s3:ListBucket"], buckets),
                Statement("ScanRead", ["s3:GetObject"], [f"{bucket}/*" for bucket in buckets]),
            ]
            if buckets
            else []
        ),
        *may.table("ScanJobs", names.scan_jobs, "GetItem", "PutItem", "UpdateItem"),
        *may.queue("Refuse", [names.scan_dead_letters], "GetQueueUrl", "SendMessage"),
        *may.tell(),
        *may.start_tasks([run_part("scan_bucket")]),
        *may.stop_tasks(),
    ]


def _dsar_request(may: May) -> list[Statement]:
    """A request is read and answered, or erased, in every store of this account that the estate declares."""
    settings = may.declared.stage.environment()
    bucket = f"arn:aws:s3:::{settings['PRIVACY_ASSETS_DSAR_BUCKET']}"
    archive = may.archive_names
    tables = [may.arn("dynamodb", f"table/{table}") for table in may.governed]
    return [
        *may.requests(),
        *may.request_key(),
        *may.clear_answers(),
        *may.ledger(),
        *may.iceberg(),
        *_snapshots(may),
        *_archived(may),
        Statement("Answers", ["s3:GetObject", "s3:PutObject"], [f"{bucket}/*"]),
        Statement("MissAnswers", ["s3:ListBucket"], [bucket]),
        *may.table("Erasures", archive.erasures, "GetItem", "PutItem", "UpdateItem"),
        *may.key("ErasureKey", archive.key, "kms:Decrypt", "kms:GenerateDataKey"),
        Statement(
            "Subjects",
            [
                "dynamodb:DeleteItem",
                "dynamodb:DescribeTable",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:Scan",
            ],
            tables,
        ),
        Statement("SubjectIndexes", ["dynamodb:Query"], [f"{table}/index/*" for table in tables]),
        *may.tell(settings["PRIVACY_ASSETS_DSAR_TOPIC_ARN"].rpartition(":")[2]),
    ]


def _snapshots(may: May) -> list[Statement]:
    """Exports, snapshots and results of audits: files are written again without the person's rows."""
    rewritten = ("audits/", "exports/", "snapshots/")
    database = may.declared.names.database
    return [
        *may.write_lake(*rewritten),
        *may.delete_lake(*rewritten),
        *may.forget("iceberg/", *rewritten),
        Statement(
            "LakeVersions",
            ["s3:GetObjectVersion", "s3:GetObjectVersionTagging"],
            [f"{may.lake}/{prefix}*" for prefix in ("iceberg/", *rewritten)],
        ),
        Statement(
            "MovePartitions",
            ["glue:GetPartitions", "glue:UpdatePartition"],
            [
                may.arn("glue", "catalog"),
                may.arn("glue", f"database/{database}"),
                may.arn("glue", f"table/{database}/*"),
            ],
        ),
    ]


def _archived(may: May) -> list[Statement]:
    """Every version of what was deleted and is kept."""
    bucket = f"arn:aws:s3:::{may.archive_names.bucket}"
    return [
        Statement("Archived", ["s3:DeleteObjectVersion", "s3:GetObjectVersion"], [f"{bucket}/*"]),
        Statement("ListArchived", ["s3:ListBucketVersions"], [bucket]),
    ]


def _dsar_approval(may: May) -> list[Statement]:
    return [*may.requests(lists=False), *may.ask(), *may.ledger()]


def _ingest_events(may: May) -> list[Statement]:
    settings = may.declared.stage.environment()
    queue, dead = settings["PRIVACY_ASSETS_EVENT_QUEUE"], settings["PRIVACY_ASSETS_EVENT_DEAD_LETTER_QUEUE"]
    return [
        *may.iceberg(),
        *may.ledger(),
        *may.forget(f"iceberg/{EVENTS}/"),
        *may.queue(
            "Take",
            [queue, dead],
            "DeleteMessage",
            "GetQueueAttributes",
            "GetQueueUrl",
            "ReceiveMessage",
        ),
        *may.queue("Refuse", [dead], "SendMessage"),
    ]


def _api(may: May) -> list[Statement]:
    """Programs send events, start scans and read findings, and open requests of subjects."""
    settings = may.declared.stage.environment()
    names, archive = may.declared.names, may.archive_names
    bucket = f"arn:aws:s3:::{settings['PRIVACY_ASSETS_DSAR_BUCKET']}"
    return [
        # Hashes of the clients' secrets and the signing keys; a client's own secret is for the client alone.
        Statement(
            "Secrets",
            ["secretsmanager:GetSecretValue"],
            [*may.secret("clients"), *may.secret("signing-keys")],
        ),
        # The first process of all makes the first key.
        Statement("FirstKey", ["secretsmanager:CreateSecret"], may.secret("signing-keys")),
        *may.table(
            "State",
            settings["PRIVACY_ASSETS_API_STATE_TABLE"],
            "DeleteItem",
            "GetItem",
            "PutItem",
            "UpdateItem",
        ),
        *may.queue(
            "Accept",
            [
                settings["PRIVACY_ASSETS_EVENT_QUEUE"],
                names.scan_requests,
            ],
            "GetQueueUrl",
            "SendMessage",
        ),
        *may.table("ScanJobs", names.scan_jobs, "GetItem", "PutItem"),
        *may.catalog(),
        *may.list_lake(),
        *may.read_lake("iceberg/scan_findings/"),
        *may.requests(lists=False),
        *may.ask(),
        *may.request_key(),
        *may.ledger(),
        # Who a request is about stands in the ledger as a pseudonym.
        *may.table("Erasures", archive.erasures, "DeleteItem", "GetItem", "PutItem", "Scan"),
        *may.key("ErasureKey", archive.key, "kms:Decrypt", "kms:GenerateDataKey"),
        # Links are signed with these rights.
        Statement("Answers", ["s3:GetObject"], [f"{bucket}/*"]),
        Statement("MissAnswers", ["s3:ListBucket"], [bucket]),
        *may.clear_answers(),
        *may.tell(settings["PRIVACY_ASSETS_DSAR_TOPIC_ARN"].rpartition(":")[2]),
    ]


def _rotate_secrets(may: May) -> list[Statement]:
    """New secrets of clients, their hashes, new signing keys; the job's page tells who uses older ones."""
    settings = may.declared.stage.environment()
    return [
        Statement(
            "Rotate",
            [
                "secretsmanager:CreateSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecretVersionStage",
            ],
            [*may.secret("clients"), *may.secret("signing-keys"), *may.secret("client/*")],
        ),
        *may.table("State", settings["PRIVACY_ASSETS_API_STATE_TABLE"], "GetItem"),
        *may.ledger(),
    ]


def _ledger_checkpoint(may: May) -> list[Statement]:
    """The whole log is verified: its index, and every version of the checkpoints that were kept."""
    settings = may.declared.stage.environment()
    evidence = f"arn:aws:s3:::{settings['PRIVACY_ASSETS_EVIDENCE_BUCKET']}"
    return [
        *may.ledger(),
        *may.table("Index", settings["PRIVACY_ASSETS_LEDGER_TABLE"], "Scan"),
        Statement("Kept", ["s3:GetObjectVersion"], [f"{evidence}/*"]),
        Statement("ListKept", ["s3:ListBucketVersions"], [evidence]),
    ]


JOBS: Mapping[str, Callable[[May], list[Statement]]] = {
    "nightly_exports": _nightly_exports,
    "daily_audit": _daily_audit,
    "archive_deletions": _archive_deletions,
    "archive_restore": _archive_restore,
    "scan_bucket": _scan_bucket,
    "ingest_events": _ingest_events,
    "ledger_checkpoint": _ledger_checkpoint,
    "dsar_request": _dsar_request,
    "dsar_approval": _dsar_approval,
    "rotate_secrets": _rotate_secrets,
}
BY_HAND = ("nightly_exports", "daily_audit", "archive_deletions", "scan_bucket", "ingest_events")
"""Jobs whose assets a person may materialize in the asset graph, where a run has no job."""
