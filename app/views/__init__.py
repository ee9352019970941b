"""What people see: tables, charts, the report, progress."""
