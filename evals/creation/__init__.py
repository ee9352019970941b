"""What create jobs are measured at with scripted models, so that the truth of each row is known."""
