"""Uploads through an AWS SDK: the channel of cohorts with ``client: sdk``, on aioboto3.

What a real fleet of SDK clients does, and therefore each device here:

* has an S3 client of its own (retry quota, rate limiter, connection pool): devices of a
  real fleet share no memory. About 5 ms and 0.3 MiB each, made before the run;
* keeps its connections open and never resumes a TLS session;
* trusts its bundle as a CA file and presents its certificate when asked;
* sends log files by the rules of the transfer manager (one PUT, or parts).

Every HTTP exchange of the SDK is seen through botocore's events and aiohttp's traces, so
each hidden retry is an attempt with a record of its own. The engine alone imports this
room; nothing here is imported unless a cohort says ``client: sdk``.
"""
