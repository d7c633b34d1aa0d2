"""Run every benchmark and print its ratio."""

from benchmarks import comparison, engine

for benchmark in (engine, comparison):
    print(benchmark.measure(), flush=True)
