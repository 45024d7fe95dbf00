"""DAGSTER_HOME for one machine: its two files, written anew at each start so that they fit this version."""

import json
from pathlib import Path

# Two runs at a time: a day's work keeps a core busy, and a laptop has other things to do.
INSTANCE = """\
# Written by privacy-assets at each start.
telemetry:
  enabled: false
# No invitation to a mailing list before the first page.
nux:
  enabled: false
# Runs tell what they do in Dagster's log; following their stdout would take four processes more for each.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
concurrency:
  runs:
    max_concurrent_runs: 2
run_queue:
  dequeue_interval_seconds: {dequeue}
  dequeue_use_threads: true
  dequeue_num_workers: 2
  max_user_code_failure_retries: 3
  user_code_failure_retry_delay: 5
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  poll_interval_seconds: 30
sensors:
  use_threads: true
  num_workers: 4
schedules:
  use_threads: true
  num_workers: 2
"""

# A run whose process died, with us or without, is run again; one that failed by itself is for a person.
KEPT = """\
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
"""

# For an instance that is thrown away when its command ends.
UNSYNCED = """\
storage:
  custom:
    module: privacy_assets.machine.storage
    class: UnsyncedStorage
    config:
      base_dir: {home}
"""

WORKSPACE = """\
# Written by privacy-assets at each start: one code server for daemon and web interface.
load_from:
  - grpc_server:
      host: 127.0.0.1
      port: {port}
      location_name: privacy_assets
"""


def write(home: Path, code_server_port: int, *, eager: bool) -> Path:
    """Write ``dagster.yaml`` and ``workspace.yaml`` into ``home``; returns the workspace file.

    ``eager`` is for somebody who waits for the end and keeps nothing: the run queue is looked at every
    second, and SQLite waits for no disk.
    """
    home.mkdir(parents=True, exist_ok=True)
    instance = INSTANCE.format(dequeue=1 if eager else 5)
    instance += UNSYNCED.format(home=json.dumps(str(home.resolve()))) if eager else KEPT
    (home / "dagster.yaml").write_text(instance)
    workspace = home / "workspace.yaml"
    workspace.write_text(WORKSPACE.format(port=code_server_port))
    return workspace
