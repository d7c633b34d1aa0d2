"""Where graphs and runs are kept: tables, queries, and the way between a row and the core's objects."""
