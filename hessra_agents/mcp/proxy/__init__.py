"""Stand in front of a server that nobody here can change, over stdio and over HTTP."""
