"""The annotator labels examples with language models."""
