"""Series: the steps of a training run, each judged from what it took, and from one to the next."""
