"""What is exported: architectures, their registry, checkpoints, users' own factories."""
