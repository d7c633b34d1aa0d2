"""Graphs, passes, explanation and comparison as pure functions; nothing here knows of HTTP or SQL.

Glossary: the *gradient* of a node is also called its adjoint or cotangent, an operation's backward rule its
vector-Jacobian product (VJP). Everywhere else in this code one name stands for each thing:

    upstream gradient   dL/dz of the node z that consumes x
    local gradient      dz/dx along one edge x → z
    contribution        their product; a node's gradient is the sum of its contributions over its out-edges
    seed                the gradient of the final quantity with respect to the chosen output
"""
