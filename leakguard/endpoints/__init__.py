"""Serve it: who may ask, and what is answered."""
