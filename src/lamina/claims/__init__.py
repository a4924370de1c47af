"""Claims, one file each, named like its system: what a paper says, as a program. See `lamina.evidence`."""
