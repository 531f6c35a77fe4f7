"""The networks: frozen teachers, the one-class embedding, the decoder."""
