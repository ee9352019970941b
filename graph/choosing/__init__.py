"""Searches before a run: for a prompt, model, setting, architecture or examples (Appendix A)."""
