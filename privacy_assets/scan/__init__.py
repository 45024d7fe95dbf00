"""What personal data and which credentials lie in the buckets: every byte read, every hit with its place.

``reading`` turns an object into text, ``detectors`` say what a match is, ``engine`` finds and validates them,
``coverage`` says what could not be read. Plain Python; ``assets`` alone knows Dagster.
"""
