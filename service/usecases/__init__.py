"""What the service can do: one function and one transaction each."""
