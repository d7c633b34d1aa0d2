"""Where the first wrong figure arose: replays, verdicts and hypotheses."""
