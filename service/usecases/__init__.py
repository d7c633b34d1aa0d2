"""What the service can do: one function an act, one transaction each."""
