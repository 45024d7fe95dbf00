"""Every deletion of every governed table: archived as it happens, told by whom, and brought back.

What belongs here is what a deletion is, where it is kept and what may be done with it. Whose calls those are,
AWS's or Dagster's, is named by a Protocol and comes from outside.
"""
