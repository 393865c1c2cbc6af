"""Say it: the report and the log events."""
