"""The generator writes new examples where the pool has too few."""
