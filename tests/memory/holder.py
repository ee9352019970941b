"""Takes the lease of a run, says so, and holds it until it is killed.

python holder.py WORKSPACE URL
"""

import signal
import sys

from querist.memory.records import RunId
from querist.memory.run.runs import Heartbeat, Runs
from querist.memory.store import open_store

with open_store(sys.argv[1], url=sys.argv[2]) as store:
    runs = Runs(store)
    with Heartbeat(runs, runs.take(RunId("run"))):
        sys.stdout.write("taken\n")
        sys.stdout.flush()
        signal.pause()
