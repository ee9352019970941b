"""Messages of tenants in six classes."""
