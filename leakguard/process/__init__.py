"""The process: its memory, its limit, the thread that watches it."""
