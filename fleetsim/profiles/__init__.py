"""Device profiles as data (YAML), each figure with its provenance, and the catalog that loads them. Imported by pki and everything above."""
