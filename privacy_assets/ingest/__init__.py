"""Privacy events that people's programs send: what an event is, how it travels, how it gets into the lake.

What belongs here is plain Python; how events are accepted over HTTP belongs to ``api``.
"""
