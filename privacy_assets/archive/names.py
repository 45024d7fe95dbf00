"""What the archive's assets and jobs are called."""

DELETIONS_KEY = ["archive", "deletions"]
RECONCILIATION_KEY = ["archive", "reconciliation"]
RESTORED_KEY = ["archive", "restored"]
DELETIONS_TABLE = "archived_deletions"
ARCHIVE_DELETIONS = "archive_deletions"
ARCHIVE_RESTORE = "archive_restore"
