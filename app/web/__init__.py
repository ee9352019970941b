"""Pages and API in one server on this machine."""
