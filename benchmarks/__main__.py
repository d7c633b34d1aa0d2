"""Run every benchmark and print its ratio."""

from benchmarks import comparison, engine, service

for benchmark in (engine, comparison, service):
    print(benchmark.measure(), flush=True)
