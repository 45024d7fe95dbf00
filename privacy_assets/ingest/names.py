"""What the assets, jobs and tables of ingestion are called."""

EVENTS_KEY = ["ingest", "events"]
INGEST_EVENTS = "ingest_events"
EVENTS = "events"
