"""Published systems as compositions of components (TOML)."""
