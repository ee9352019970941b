"""The API, a router a subject; what it takes and gives is typed, and described in OpenAPI."""

from __future__ import annotations

from querist.app.web.api.attributes import router as attributes
from querist.app.web.api.caps import router as caps
from querist.app.web.api.charts import router as charts
from querist.app.web.api.chat import router as chat
from querist.app.web.api.checks import router as checks
from querist.app.web.api.examples import router as examples
from querist.app.web.api.files import router as files
from querist.app.web.api.inbox import router as inbox
from querist.app.web.api.jobs import router as jobs
from querist.app.web.api.lessons import router as lessons
from querist.app.web.api.people import router as people
from querist.app.web.api.runs import router as runs
from querist.app.web.api.spend import router as spend
from querist.app.web.api.stream import router as stream

ROUTERS = (
    *(runs, stream, charts, examples, files, jobs, attributes),
    *(chat, inbox, checks, people, spend, caps, lessons),
)
