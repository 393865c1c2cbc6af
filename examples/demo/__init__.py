"""Serve an example, send it traffic, and print what leakguard says of it."""
