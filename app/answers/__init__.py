"""How questions are shown to people and answered."""
