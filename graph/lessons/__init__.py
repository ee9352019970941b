"""What a run learns for later rounds and runs, and what it uses of what others learnt."""
