"""Data subject requests: whose data it is, where it is, and what was done about it (GDPR Art. 12-22, CCPA).

What belongs here is what a request asks for and what it means; whose calls that takes, AWS's, a database's or
Dagster's, is named by a Protocol and comes from outside.
"""
