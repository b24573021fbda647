"""The web UI: Locust's own page, extended, and pages of our own that also work alone. See README.md."""
