"""A stand-in for ClickHouse server in the lab: chdb (the ClickHouse engine in process) behind a small HTTP front.

It is not ClickHouse server: no native port, no replication, no grants, no query log. README.md lists what differs.
"""
