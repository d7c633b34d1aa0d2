"""What one client can do to the others: each attack against a started service, a row each. `make hostile` prints them.

A row says how long the attack held its connections, the most memory that the service had meanwhile, what the attackers
were answered, and how long /livez and a run of seven nodes kept anybody waiting.
"""
