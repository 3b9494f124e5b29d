"""The gate under many hands, with killed workers and broken servers. `rounds` says how often."""
