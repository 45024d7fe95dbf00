"""Measurements: each module is one, ``python -m benchmarks`` runs them all and keeps what they found."""
