"""A sink for Acme's pager."""
