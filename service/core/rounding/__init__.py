"""What rounding to a precision may do to a figure, and to the output that follows from it."""
