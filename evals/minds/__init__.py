"""How well minds decide: on situations without doubt, and on states of real runs played out."""
