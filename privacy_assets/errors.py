"""Errors that a person can mend: one line that says what, where and what was expected."""

import signal


class UserError(Exception):
    """Wrong input. The message is one line; the command prints it and ends with code 2."""


class Stopped(BaseException):
    """We were told to end by a signal. Not an Exception, so that nothing takes it for a failure and goes
    on.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
