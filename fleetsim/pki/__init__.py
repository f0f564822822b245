"""Certificate authorities, device identities, bundles and CRLs, and their layout on disk. Imports core."""
