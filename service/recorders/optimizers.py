"""What an optimiser makes of one parameter in a step, as nodes: NAME becomes NAME', and its state NAME.m NAME.m'."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]


@dataclass
class Update:
    """The nodes of one parameter's update, from its gradient `NAME.grad`, and which node each state becomes.

    `lr` is the node of the learning rate.
    """

    name: str
    lr: str
    nodes: list[Document] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    @property
    def gradient(self) -> str:
        """The node of the gradient that the optimiser takes."""
        return f"{self.name}.grad"

    @property
    def carry(self) -> dict[str, str]:
        """From the nodes after the step to the Inputs that they are in the next."""
        return {f"{each}'": each for each in (self.name, *map(self._of, self.states))}

    def add(self, suffix: str, operation: str, *inputs: str, **attributes: Any) -> str:
        """Add the node NAME.suffix and return its name; without a suffix, NAME', the parameter after the step."""
        name = self._of(suffix) if suffix else f"{self.name}'"
        document = {"name": name, "operation": operation, "inputs": list(inputs), "attributes": attributes}
        self.nodes.append({member: value for member, value in document.items() if value})
        return name

    def state(self, key: str) -> str:
        """Add the Input of a state and return its name; the node that it becomes is `key'`."""
        self.states.append(key)
        return self.add(key, "Input")

    def decayed(self, weight_decay: float) -> str:
        """The gradient with coupled decay."""
        if not weight_decay:
            return self.gradient
        share = self.add("weight_decay", "Constant", value=weight_decay)
        decay = self.add("decay", "Mul", share, self.name)
        return self.add("decayed", "Add", self.gradient, decay)

    def average(self, key: str, of: str, beta: float) -> str:
        """The moving average that is kept as a state."""
        return self.add(f"{key}'", "Ema", self.state(key), of, beta=beta)

    def counted(self) -> str:
        """The number of the step."""
        one = self.add("one", "Constant", value=1)
        return self.add("step'", "Add", self.state("step"), one)

    def _of(self, key: str) -> str:
        return f"{self.name}.{key}"


def known_rules() -> Sequence[str]:
    """The classes of torch.optim whose update is known."""
    return tuple(_RULES)


class UnknownOptimizer(ValueError):
    """An update that no node of the rulebook stands for; the message says why."""


def update_of(rule: str, name: str, lr: str, options: Mapping[str, Any]) -> Update:
    """The update of the parameter `name` by a class of torch.optim with these options of its group.

    Raises UnknownOptimizer.
    """
    for option in ("maximize", "dampening"):
        if options.get(option):
            raise UnknownOptimizer(f"{rule} with {option} is not recorded")
    update = Update(name, lr)
    _RULES[rule](update, options)
    return update


def _sgd(update: Update, options: Mapping[str, Any]) -> None:
    gradient, momentum = update.decayed(options["weight_decay"]), options["momentum"]
    if momentum:
        buffer = update.state("momentum_buffer")
        after = update.add("momentum_buffer'", "Momentum", buffer, gradient, momentum=momentum)
        nesterov = options["nesterov"]  # once more, ahead
        gradient = update.add("ahead", "Momentum", after, gradient, momentum=momentum) if nesterov else after
    update.add("", "Sgd", update.name, gradient, update.lr)


def _adam(update: Update, options: Mapping[str, Any]) -> None:
    if options.get("decoupled_weight_decay"):
        _adamw(update, options)
    else:
        update.add("", "Adam", *_moments(update, options, options["weight_decay"]), **_stabilized(options))


def _adamw(update: Update, options: Mapping[str, Any]) -> None:
    decay = {"weight_decay": options["weight_decay"]}
    update.add("", "AdamW", *_moments(update, options, 0.0), **_stabilized(options), **decay)


def _moments(update: Update, options: Mapping[str, Any], coupled_decay: float) -> tuple[str, ...]:
    """The operands of Adam's update."""
    gradient = update.decayed(coupled_decay)
    first, second = map(float, options["betas"])
    mean = update.average("exp_avg", gradient, first)
    square = update.average("exp_avg_sq", update.add("square", "Mul", gradient, gradient), second)
    if options["amsgrad"]:
        square = update.add("max_exp_avg_sq'", "Max", update.state("max_exp_avg_sq"), square)
    return update.name, mean, square, update.counted(), update.lr


def _stabilized(options: Mapping[str, Any]) -> dict[str, float]:
    first, second = map(float, options["betas"])
    return {"beta1": first, "beta2": second, "eps": options["eps"]}


def _rmsprop(update: Update, options: Mapping[str, Any]) -> None:
    gradient, alpha = update.decayed(options["weight_decay"]), options["alpha"]
    square = update.average("square_avg", update.add("square", "Mul", gradient, gradient), alpha)
    if options["centered"]:
        mean = update.average("grad_avg", gradient, alpha)
        square = update.add("variance", "Sub", square, update.add("mean_square", "Mul", mean, mean))
    if not options["momentum"]:
        update.add("", "RmsProp", update.name, gradient, square, update.lr, eps=options["eps"])
        return
    epsilon = update.add("eps", "Constant", value=options["eps"])
    root = update.add("root", "Add", update.add("deviation", "Sqrt", square), epsilon)
    buffer, scaled = update.state("momentum_buffer"), update.add("scaled", "Div", gradient, root)
    after = update.add("momentum_buffer'", "Momentum", buffer, scaled, momentum=options["momentum"])
    update.add("", "Sgd", update.name, after, update.lr)


_RULES = {"SGD": _sgd, "Adam": _adam, "AdamW": _adamw, "RMSprop": _rmsprop}
