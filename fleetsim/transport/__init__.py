"""Connections of one device: TCP, TLS pump, HTTP exchange, and the one translator of errors. Imports core."""
