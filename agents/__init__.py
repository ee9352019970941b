"""The judgements: everything that consults a language model or decides."""
