"""The command line: the service itself, a demonstration, and a verb for each method of the client."""

from service.cli.main import main

__all__ = ["main"]
