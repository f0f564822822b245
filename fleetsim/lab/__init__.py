"""The embedded S3 endpoint behind a TLS front, in its own process. Imports core, transport's TLS pump and pki."""
