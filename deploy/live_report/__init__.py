"""`thalweg drift status` and `report`: what the live system has found, out of its log."""
