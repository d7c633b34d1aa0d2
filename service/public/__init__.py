"""Gradbook from Python: `from gradbook import Client`.

The wheels install this folder as the package `gradbook`; all that it offers is documented in `service.client`.
"""

from service.client import *  # noqa: F403  # its __all__ is the list of public names
from service.client import __all__ as __all__
