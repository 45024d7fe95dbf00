"""Allowed actions that the recording did not see used, each with its reason. What is not here is a defect.

A key is a pattern of ``part sid action``.
"""

_FIRST = "the key of pseudonyms is made by whoever needs it first: here by who was erased before"
_LEDGER = "which of the ledger's calls a part makes depends on what is in the log: tests/ledger"
_REJECTED = "what a rejected erasure had begun is withdrawn: tests/dsar/test_requests_run.py"
_MISSING = "S3 tells who may list that an object is missing, and all others that it is forbidden"

UNUSED = {
    "* WriteCatalog glue:CreateTable": "a table is made by whoever writes first",
    "run-dsar-request Subject* dynamodb:*": "a table is searched by its keys, an index, or as a whole",
    "* Ledger dynamodb:GetItem": _LEDGER,
    "* Ledger dynamodb:Query": _LEDGER,
    "* Evidence s3:GetObject": _LEDGER,
    "* ListEvidence s3:ListBucket": _MISSING,
    "* Sign kms:GetPublicKey": _LEDGER,
    "run-ledger-checkpoint Ledger dynamodb:PutItem": _LEDGER,
    "run-ledger-checkpoint Sign kms:Sign": _LEDGER,
    "* Erasures dynamodb:PutItem": _FIRST,
    "api Erasures dynamodb:DeleteItem": _REJECTED,
    "code Erasures dynamodb:DeleteItem": _REJECTED,
    "run-daily-audit Erasures dynamodb:BatchGetItem": "where a key vanished: tests/archive/test_assets.py",
    "* ErasureKey kms:GenerateDataKey": _FIRST,
    "* rds-db:connect": "signed by the process itself: no call of AWS; the database asks IAM",
    "run-rotate-secrets Rotate secretsmanager:CreateSecret": "a document or secret that somebody deleted",
    "* s3:AbortMultipartUpload": "only of an upload that fails half-way",
    "run-scan-bucket Refuse sqs:*": "objects that failed three times",
    "* ListArchive s3:ListBucket": _MISSING,
    "run-archive-restore ListArchive s3:ListBucketVersions": "a record that may be behind others of its key",
    "* MissAnswers s3:ListBucket": _MISSING,
    "* ListLake s3:ListBucket": _MISSING,
    "run-archive-restore PutBack dynamodb:DeleteItem": "an item whose subject's erasure began meanwhile",
}
