"""fleetsim: an asyncio fleet upload load simulator.

Virtual data loggers load certificates, negotiate TLS with cipher-group fallback and
upload SigV4-signed objects to S3 under scripted scenarios; latency and failure are
recorded. The rooms of the package and the way imports point are listed in README.md.
"""

__version__ = "0.1.0"
