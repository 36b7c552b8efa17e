"""hessra."""
