"""Operations on tensors that ONNX lacks, as operators that it has: DECOMPOSED has a rule for each.

Most are adjoints. What an operation moves elements by is found by applying it to their positions: its adjoint then adds
what came from each position, which is ScatterND. A rule returns the name of the value, or None where ONNX has the
operation after all.
"""

from service.onnx.decompositions import algebra, convolution, moving, resizing, scans, windows  # noqa: F401 (fill the table)
from service.onnx.decompositions.shared import DECOMPOSED as DECOMPOSED
