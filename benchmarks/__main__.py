"""Run every benchmark and print its ratio."""

from benchmarks import comparison

for benchmark in (comparison,):
    print(benchmark.measure(), flush=True)
