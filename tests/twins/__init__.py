"""Hold that every check is missed: each has a *twin*, the package without it, which tests must notice."""
