"""Write the generated pages and pictures of this repository: ``make generate``."""
