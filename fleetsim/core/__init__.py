"""PURE device logic: no clock, socket, file, task or global random. Everybody may import it; it imports only exceptions (and cryptography's certificate parsers)."""
