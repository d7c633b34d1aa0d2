"""Run every benchmark and print its ratio."""

from benchmarks import comparison, engine, pictures, service

for benchmark in (engine, comparison, pictures, service):
    print(benchmark.measure(), flush=True)
