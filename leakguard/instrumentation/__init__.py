"""Listeners: one file for each emitter library, one ledger."""
