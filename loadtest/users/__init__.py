"""Locust's side of the harness: users that own herds, and what ties workers to the master.

People import from here: `from loadtest.users import HerdUser, PublisherUser`.
"""
