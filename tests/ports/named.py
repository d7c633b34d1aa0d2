"""What a comparison that aligns by probes names."""

from typing import Any

from service.client import Client


def named(client: Client, baseline: Any, candidate: Any) -> list[str]:
    """The causes, each by the phase and the node of the first figure that it explains."""
    found = client.create_comparison(baseline, candidate, align="probes")
    return [f"{cause.explains[0].phase} {cause.explains[0].node}" for cause in found.causes]
