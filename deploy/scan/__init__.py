"""`thalweg drift scan`: somebody's history, read from a file and watched as a stream would be."""
