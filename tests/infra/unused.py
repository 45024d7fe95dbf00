"""Allowed actions that the recording did not see used, each with its reason. What is not here is a defect.

A key is a pattern of ``part sid action``.
"""

_LAUNCHER = "EcsRunLauncher and ecs_executor call it; there is no ECS on local AWS to launch on"
_LOGS = "S3ComputeLogManager writes at a run's end and reads for the log page; recorded runs keep none"
_AGAIN = (
    "a record that a pipe could not pass on is read from the stream again: tests/archive/test_archiving.py"
)

_REQUESTS = "what requests that fail, wait, are late or ask for nothing need: tests/dsar"
_FIRST = "the key of pseudonyms is made by whoever needs it first: here by who was erased before"
_APPROVAL = "no request of this estate waits for an approval: tests/dsar/test_requests_run.py"

_REJECTED = "a request that is rejected erases nobody any more: tests/dsar/test_mishaps.py"

_LEDGER = "which of the ledger's calls a part makes depends on what is in the log: tests/ledger"

UNUSED = {
    "* WriteCatalog glue:*": "a table is made by whoever writes first, and changed by each commit",
    "* DeleteFromLake s3:DeleteObjectVersion": "files that only old snapshots name, once they are old",
    "* ListVersions s3:ListBucketVersions": "as above",
    "code Requests dynamodb:*": _REQUESTS,
    "code RequestKey kms:*": _REQUESTS,
    "code *Ledger dynamodb:*": _REQUESTS,
    "code *Evidence s3:*": _REQUESTS,
    "code Sign kms:*": _REQUESTS,
    "code Erasures dynamodb:DeleteItem": _REJECTED,
    "code Answers s3:DeleteObjectVersion": _REJECTED,
    "api Erasures dynamodb:DeleteItem": _REJECTED,
    "api Erasures dynamodb:Scan": _REJECTED,
    "run-dsar-approval *": _APPROVAL,
    "run-dsar-request Requests dynamodb:*": _REQUESTS,
    "run-dsar-request *Answers s3:*": _REQUESTS,
    "run-dsar-request Subject* dynamodb:*": "a table is searched by its keys, an index, or as a whole",
    "* Ledger dynamodb:GetItem": _LEDGER,
    "* Ledger dynamodb:Query": _LEDGER,
    "* Evidence s3:GetObject": _LEDGER,
    "* ListEvidence s3:ListBucket": _LEDGER,
    "* Sign kms:GetPublicKey": _LEDGER,
    "run-ledger-checkpoint Ledger dynamodb:PutItem": _LEDGER,
    "run-ledger-checkpoint Sign kms:Sign": _LEDGER,
    "* Erasures dynamodb:PutItem": _FIRST,
    "* ErasureKey kms:GenerateDataKey": _FIRST,
    "* rds-db:connect": "signed by the process itself: no call of AWS; the database asks IAM",
    "* Launcher ecs:DescribeTaskDefinition": _LAUNCHER,
    "* StartTasks ecs:RunTask": _LAUNCHER,
    "* TagTasks ecs:TagResource": _LAUNCHER,
    "* LookAtTasks ecs:DescribeTasks": _LAUNCHER,
    "* LookAtNetwork ec2:DescribeNetworkInterfaces": _LAUNCHER,
    "* GiveRoles iam:PassRole": _LAUNCHER,
    "* TaskLogs logs:GetLogEvents": "the launcher quotes the log of a task that died",
    "* StopTasks ecs:*": "a run is cancelled, from the web page or by run monitoring",
    "* WriteLogs s3:PutObject": _LOGS,
    "* ReadLogs s3:GetObject": _LOGS,
    "* ListLogs s3:ListBucket": _LOGS,
    "run-rotate-secrets Rotate secretsmanager:CreateSecret": "a document or secret that somebody deleted",
    "api *Answers s3:*": "answers of requests that went on or were refused: tests/api/test_dsar.py",
    "api RequestKey kms:Decrypt": "as above: S3 decrypts an answer with the caller's rights",
    "api State dynamodb:DeleteItem": "a claim of an Idempotency-Key is given up when its work failed",
    "* s3:AbortMultipartUpload": "only of an upload that fails half-way",
    "* Query athena:StopQueryExecution": "a query that outlives its deadline",
    "* DeleteFromLake s3:DeleteObject": "orphans of failed attempts, a day after they were written",
    "code LookAtExports dynamodb:DescribeExport": "an export whose event did not come within two minutes",
    "code ListExports dynamodb:ListExports": "as above",
    "code ScanJobs dynamodb:*": "a scan that failed closes its job (sensor scan_failures)",
    "* Take sqs:ChangeMessageVisibility": "messages of a run that ends before it has archived them",
    "* Take sqs:GetQueueUrl": "looked up once a process, before the recording began",
    "* Refuse sqs:*": "malformed messages and objects that failed three times",
    "* Archive s3:*": "a deletion that came twice or late: versions are compared, and pruned",
    "* ListArchive s3:*": "as above, and to be told that an object is not there",
    "* ListLake s3:ListBucket": "to be told that an object is missing, not that it is forbidden",
    "* ReadAgain dynamodb:*": _AGAIN,
    "* ReadMetrics cloudwatch:GetMetricStatistics": "the check of pipes, while dead letters wait",
    "run-archive-restore PutBack dynamodb:GetItem": "an item that is there already is compared",
    "run-archive-restore PutBack dynamodb:DeleteItem": "an item whose subject's erasure began meanwhile",
    "run-archive-restore ReadCatalog *": "tables are looked up once a process",
}
