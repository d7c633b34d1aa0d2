"""The slips that people make, by subject; `hypotheses.py` holds the table of them all."""
