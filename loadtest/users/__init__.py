"""Locust's side of the harness: users that own herds, and what ties workers to the master.

A locustfile of your own imports from `loadtest.users.api`.
"""
