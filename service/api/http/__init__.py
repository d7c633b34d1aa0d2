"""The plumbing of the API: endpoints, bodies, media types, problems, measurements."""
