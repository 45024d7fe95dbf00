"""Files of a lake: which records of a file are the subject's, and the file written anew without them.

One module a form, each of one shape: ``records`` and ``rewrite``. They know bytes and rows, and no bucket.
"""
