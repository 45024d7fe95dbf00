"""The names that assets, sensors and commands of requests share."""

STORE_RESULTS_KEY = ["dsar", "store_results"]
BUNDLE_KEY = ["dsar", "bundle"]
COMPLETION_KEY = ["dsar", "completion"]
APPROVAL_KEY = ["dsar", "approval"]
DSAR_REQUEST = "dsar_request"
DSAR_APPROVAL = "dsar_approval"
STAY_ERASED = "erased_subjects_stay_erased"
IN_TIME = "in_time"
"""The check of ``dsar/completion``."""
PARTITIONS = "dsar_requests"
ATTEMPT_TAG = "privacy_assets/dsar_attempt"
