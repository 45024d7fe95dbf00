"""Where a subject's data is: one module a kind of store, each of one shape (``protocol.Store``).

A kind knows how a subject is found in its systems and how what is found is given out, erased and searched for
again. What may be erased is ``rules``, which all kinds share; how bytes are moved is ``resources``.
"""
