"""`gradbook baseline set`: the entry point in this process, real HTTP."""

from service.client import Client
from tests.cli.command import call_main


def test_a_baseline_takes_the_label_from_the_one_before_it(service_url: str) -> None:
    with Client(service_url) as service:
        versions = [service.create_graph("cli baseline", expression=f"y = x * {factor}") for factor in (2, 3)]
        before, after = (service.create_run(graph, {"x": 1}) for graph in versions)
        for run, version in ((before, 1), (after, 2)):
            ended = call_main(service_url, "baseline", "set", str(run.id))
            said = f"cli baseline:main is the run {run.id}, of version {version}\n"
            assert ended == (0, said, "")
        assert [service.get_run(run).label for run in (before, after)] == [None, "main"]
        night = call_main(service_url, "baseline", "set", str(after.id), "--label", "night", "--json")
        assert night.json["label"] == "night" and list(service.list_runs(graph=versions[1], label="main")) == []
    gone = call_main(service_url, "baseline", "set", "nothing")
    assert (gone.code, gone.err) == (
        3,
        "gradbook: there is no run 'nothing'; a run is referred to by an id, or as GRAPH:LABEL\n",
    )
