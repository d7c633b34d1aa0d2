"""Record what PyTorch computes and ask where it first differs: python examples/record_pytorch.py URL

A network of two layers in float32, node by node under the names of the graph. `retain_grad` keeps the gradients of
what is computed on the way, which PyTorch would throw away; where modules compute, a forward hook sees their outputs:
module.register_forward_hook(lambda module, inputs, output: keep(name, output)).
"""

import sys

import torch

from service.client import Client

EXPRESSION = "h = tanh(w1 * x + b1); s = w2 * h + b2; y = sigmoid(s); e = y - t; loss = e * e"
INPUTS = {"w1": 0.7, "x": -1.3, "b1": 0.2, "w2": 1.9, "b2": -0.4, "t": 1.0}


def main(url: str) -> str:
    """Run the network in both programs and return the verdicts at float32 and at float64."""
    tensors: dict[str, torch.Tensor] = {}

    def keep(name: str, tensor: torch.Tensor) -> torch.Tensor:
        tensor.retain_grad()
        tensors[name] = tensor
        return tensor

    leaves = {name: keep(name, torch.tensor(figure, requires_grad=True)) for name, figure in INPUTS.items()}
    w1, x, b1, w2, b2, t = leaves.values()
    h = keep("h", torch.tanh(w1 * x + b1))
    e = keep("e", keep("y", torch.sigmoid(keep("s", w2 * h + b2))) - t)
    keep("loss", e * e).backward()

    values = {name: tensor.detach() for name, tensor in tensors.items()}
    gradients = {name: tensor.grad for name, tensor in tensors.items()}
    with Client(url) as gradbook:
        graph = gradbook.create_graph("two layers", expression=EXPRESSION)
        # At the inputs as PyTorch has them: 0.7 is another number in float32.
        ours = gradbook.create_run(graph, {name: leaf.item() for name, leaf in leaves.items()})
        theirs = gradbook.record_run(
            graph, by=f"PyTorch {torch.__version__}", dtype="float32", values=values, gradients=gradients
        )
        loose = gradbook.create_comparison(ours, theirs, tolerance="float32")
        strict = gradbook.create_comparison(ours, theirs, tolerance="float64")
    first = strict.first_difference
    guess = first.hypotheses[0].name if first and first.hypotheses else "nothing"
    return f"float32: {loose.verdict}; float64: {strict.verdict}, origins {[o.node for o in strict.origins]}, {guess}"


if __name__ == "__main__":
    print(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"))
