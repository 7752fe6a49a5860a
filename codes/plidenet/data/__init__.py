"""Images in and out: LMDB stores, folders, data sets, loaders, and the making of benchmarks."""
