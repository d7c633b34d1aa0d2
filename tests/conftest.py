"""What all tests share: hypothesis without a stopwatch, few examples, and a failure that can be played again."""

from hypothesis import settings

settings.register_profile("gradbook", deadline=None, max_examples=40, print_blob=True)
settings.load_profile("gradbook")
