"""The exception for a user's mistake."""


class StudyError(Exception):
    """A mistake that the user can correct. Its text is one sentence: what was found, what was expected, what to do.

    The command line prints the sentence alone, without a traceback, and ends with status 1.
    """
