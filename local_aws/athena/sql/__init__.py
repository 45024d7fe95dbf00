"""Trino's SQL compiled to DuckDB's: names and types are resolved here, so that errors and semantics are
Trino's.
"""
