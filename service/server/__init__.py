"""The HTTP/1.1 server: one event loop that waits for slow clients, and threads that never do.

    server.py       listen, watch the clocks, stop
    connection.py   one connection: requests in turn, their clocks, answers in pieces
    reading.py      bytes → requests, by httptools, with bounds on all that a client may send
    refusals.py     what the server refuses by itself
    wsgi.py         a request through a WSGI application, and its answer as bytes
    workers.py      the threads, and how many requests may wait for one

A request takes a thread when its body is whole, and gives it back before its answer is sent. So a client that sends or
reads slowly holds a connection, a bounded number of bytes and one timer, and nobody waits for it.
"""
