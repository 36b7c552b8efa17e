"""Issue and read Hessra's other tokens: identities, contexts and latent capabilities."""
