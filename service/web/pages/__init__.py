"""Pages for people, on the same use cases as the API: HTML under a strict policy, which works without scripts."""
