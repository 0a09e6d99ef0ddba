"""The development broker: one node that speaks the Kafka protocol on loopback, kept in plain files.

Not for production: no replication, no TLS, no access control. See docs/broker.md.
"""
