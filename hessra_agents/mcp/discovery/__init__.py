"""Learn what a server offers and what a client uses, and suggest grants."""
