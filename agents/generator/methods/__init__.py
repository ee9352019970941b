"""Methods of writing rows for a job: what is asked of the model, and how its reply is read."""
