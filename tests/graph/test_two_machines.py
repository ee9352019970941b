"""A run goes from machine to machine: one database, no shared disk, files at an address."""

import asyncio
import contextlib
from decimal import Decimal

import pytest
from tests_graph_support import EXAMPLE, LABELS, weak_annotator

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph import jobs
from querist.graph.config import make_config
from querist.graph.round.model_files import MODEL, current_model
from querist.graph.run import Run
from querist.graph.workplace.checkpoints import CHECKPOINTS
from querist.memory.files import put_place
from querist.memory.records import JobStatus
from querist.memory.store import open_store
from querist.memory.workspace.caps import Caps
from querist.memory.workspace.jobs import Jobs
from querist.tools.training.model_folder import Model

pytest.importorskip("fsspec")
PAID = "openai:paid"


@pytest.fixture
def config(tmp_path):
    pool = tmp_path / "pool.jsonl"
    pool.write_text("\n".join((EXAMPLE / "pool.jsonl").read_text().splitlines()[:120]))
    return {
        "task": {"name": "tenants", "labels": dict.fromkeys(LABELS, "")},
        "data": {"pool": str(pool), "text": "text", "embedder": "hashing"},
        "models": {"annotator": PAID, "base_url": "http://127.0.0.1:9/v1"},
        "prices": {PAID: {"input": 0, "output": 0, "per_call": "0.01"}},
        "budget": {"usd": "5"},
        "people": {"kind": "none"},
        "annotator": {"calibrate": False, "shared": 0, "nearest": 0},
        "loop": {"rounds": 3, "batch": 20, "chunk": 8},
        "generator": {"enabled": False},
        "training": {"target": "linear"},
    }


def test_a_job_that_one_machine_began_another_goes_on_with_and_the_first_ends(tmp_path, config):
    request = jobs.read_request({"kind": "label", "config": config}, source="test")
    url = f"sqlite:///{tmp_path}/shared.db"
    with open_store(tmp_path / "a", url=url) as a, open_store(tmp_path / "b", url=url) as b:
        put_place(a, f"file://{tmp_path}/elsewhere", who="ann")
        caps = Caps(a)
        job = jobs.submit(request, a)
        # The cap ends each one's turn in the middle of a round.
        for store, usd in ((a, "0.28"), (b, "0.5"), (a, "5")):
            caps.put("workspace", Decimal(usd), who="ann")
            if Jobs(store).get(job.id).status is JobStatus.PAUSED:
                Jobs(store).resume(job.id)
            model = ScriptedModel(weak_annotator, name=PAID, in_flight=4)
            asyncio.run(jobs.Worker(store, models={PAID: model}).work_off())
            assert model.calls
        ended = Jobs(b).get(job.id)
        assert ended.status is JobStatus.DONE, ended.reason
        view = Run(b, job.run).view()
        batches = [item.example for n in range(4) for item in view.labelling.batch(n)]
        assert len(batches) == len(set(batches)) >= 50
        lines = [line for line in view.ledger.lines() if line.entry == "settle"]
        assert len({line.call_key for line in lines}) == len(lines)
        assert jobs.write_result(b, ended, tmp_path / "rows.jsonl", format="jsonl") >= 50
        # What the first machine made last is on the second one.
        assert current_model(view.files) is not None
        assert view.files.read("result/rows.jsonl")
        assert view.files.read(CHECKPOINTS), "handed over, for whoever is next"
        assert Model.load(view.files.fetch(MODEL)).task.name == "tenants"
        local = {path.name for path in (tmp_path / "a" / "runs" / job.run).iterdir()}
        assert local <= {CHECKPOINTS, "model", ".model.version", "result"}


def test_where_a_machine_dies_in_the_middle_the_next_goes_on_from_the_database(tmp_path, config):
    async def die(run):
        enough = asyncio.Event()

        def reply(request):
            if len(model.calls) >= 30:
                enough.set()
            return weak_annotator(request)

        model = ScriptedModel(reply, name=PAID, in_flight=4, delay=0.001)
        task = asyncio.create_task(run.use(models={PAID: model}).drive())
        await asyncio.wait_for(enough.wait(), 30)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    url = f"sqlite:///{tmp_path}/shared.db"
    with open_store(tmp_path / "a", url=url) as a, open_store(tmp_path / "b", url=url) as b:
        put_place(a, f"file://{tmp_path}/elsewhere", who="ann")
        run = Run.create(make_config(config, source="test"), a)
        asyncio.run(die(run))
        left = run.view()
        assert left.files.path(CHECKPOINTS).exists()
        assert left.files.read(CHECKPOINTS) is None, "nobody takes up what was not handed over"
        assert [item for n in range(3) for item in left.labelling.batch(n, status="todo")]
        other = Run(b, run.id).use(models={PAID: ScriptedModel(weak_annotator, name=PAID)})
        assert asyncio.run(other.drive()).status == "finished"
        view = other.view()
        batches = [item.example for n in range(3) for item in view.labelling.batch(n)]
        assert len(batches) == len(set(batches)) == 60
        lines = [line for line in view.ledger.lines() if line.entry == "settle"]
        assert len({line.call_key for line in lines}) == len(lines)
