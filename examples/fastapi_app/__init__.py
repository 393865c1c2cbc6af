"""A FastAPI service that leaks in eight ways, and does the same eight things right."""
