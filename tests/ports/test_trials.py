"""Random trials over real networks: each planted bug is named, and nothing else is."""

import pytest

from tests.ports.trials import tried


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_a_bug_planted_in_a_disguised_network_is_named_alone(seed: int) -> None:
    trial = tried(seed)
    assert trial.is_named, trial
