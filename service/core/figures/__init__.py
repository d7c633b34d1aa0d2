"""The figures of a run packed in one array, and every alias of an array type."""
