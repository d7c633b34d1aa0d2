"""Processes that do what is too large for a thread, since a process can be killed and its memory bounded.

It knows nothing of what they do: a `Pool` begins them, hands each one task at a time, and ends those that take too
long.
"""
