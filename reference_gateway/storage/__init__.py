"""Collections and their revisions in SQL."""
