"""A Flask service that leaks in six ways, and does the same six things right."""
