"""The verifier decides what to believe: accept, send back, escalate or drop."""
