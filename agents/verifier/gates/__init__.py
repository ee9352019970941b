"""Gates that ask a language model: is it the class, is it good, can it be solved."""
