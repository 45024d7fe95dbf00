"""The whole product on one machine: AWS, Dagster's daemon and web interface as child processes of one
command.

What they are asked to do (a demo, a day's work) does not belong here.
"""
