"""What a worker process has loaded when it begins: it is forked from a process that has imported this.

The compiled loops are found on disk, where the service has put them.
"""

import service.api.http.elsewhere
import service.app  # noqa: F401  # loaded, not used
from service.core.execution import kernel

kernel.warm()
