"""The demo: generated days with known violations, or a user's own items, through the whole nightly audit."""
