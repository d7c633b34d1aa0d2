"""The out-edges of nodes are the in-edges, by the node that they come from."""

import numpy as np
import pytest

from service.core.graph.consumers import Consumers
from tests.planted import graph_of, tame_graph


def test_every_out_edge_is_listed_once_in_the_order_of_the_consumers() -> None:
    for graph in (tame_graph(0, 200)[0], graph_of("F = x * x + x"), graph_of("x")):
        edges = [
            (source, consumer, operand_index)
            for consumer, sources in enumerate(graph.operands)
            for operand_index, source in enumerate(sources)
        ]
        expected = [tuple(edge[1:] for edge in edges if edge[0] == position) for position in range(len(graph))]
        assert list(graph.consumers) == expected
        assert graph.consumers.counts.tolist() == [len(each) for each in expected]


def test_a_position_is_one_of_a_node() -> None:
    consumers = Consumers(np.array([0, 0, 2], np.uint32), np.array([0, 0], np.uint32))
    assert consumers[0] == ((1, 0), (1, 1)) and consumers[1] == ()
    for position in (-1, 2):
        with pytest.raises(IndexError):
            consumers[position]
