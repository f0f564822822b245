"""The control plane on aioboto3: bucket, over-the-air objects, audit, clean-up; AWS configuration. Imports core and scenario."""
