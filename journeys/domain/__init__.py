"""The decision rules: facts in, answer with its reasons out. No Django, no clock, no database."""
