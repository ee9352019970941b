"""What people tell a running loop, where it is more than a setting: guidelines, labels, items."""
