"""grant_file."""
