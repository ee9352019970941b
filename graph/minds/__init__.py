"""When a language model is asked to decide, with which tools, and what came of it."""
