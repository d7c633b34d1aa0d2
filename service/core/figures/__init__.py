"""The figures of a run, a million of them as one packed array; and every alias of arrays."""
