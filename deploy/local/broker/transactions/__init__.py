"""Transactional ids: who may write, and how transactions end (KIP-98)."""
