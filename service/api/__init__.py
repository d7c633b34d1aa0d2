"""HTTP: load → use case → dump. Nothing here decides anything; `problems.py` alone maps errors to statuses."""
