"""How each figure of a run came about: steps and paths."""
