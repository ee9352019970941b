"""Choices: which prompt, context, model, setting, architecture or examples (Appendix A)."""
