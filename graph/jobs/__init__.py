"""Jobs: label a pool, or create rows that pass gates; handed in, quoted, worked on, delivered.

from querist.graph import jobs

request = jobs.load_request("job.toml")
job = jobs.submit(request, store)
asyncio.run(jobs.Worker(store).work_off())
rows = jobs.rows_of(store, job)
"""

from __future__ import annotations

from querist.graph.jobs.attributes import FoundAttributes, find_attributes
from querist.graph.jobs.extending import extend
from querist.graph.jobs.quoting import JobQuote, quote_create
from querist.graph.jobs.request import (
    CreateRequest,
    JobRequest,
    LabelRequest,
    load_request,
    read_request,
)
from querist.graph.jobs.result import rows_of, write_result
from querist.graph.jobs.submitting import submit
from querist.graph.jobs.worker import Worker

__all__ = [
    "CreateRequest",
    "FoundAttributes",
    "JobQuote",
    "JobRequest",
    "LabelRequest",
    "Worker",
    "extend",
    "find_attributes",
    "load_request",
    "quote_create",
    "read_request",
    "rows_of",
    "submit",
    "write_result",
]
