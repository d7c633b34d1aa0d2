"""Jobs: work that is longer than a request, done beside them.

The `Runner` claims jobs and stores what comes of them; an `Engine` computes their chunks, in the service's own worker
processes or elsewhere.
"""
