"""Messages of tenants to the manager of their building, in six classes."""
