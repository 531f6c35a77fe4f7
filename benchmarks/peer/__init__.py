"""What `peers.py` compares: how its products are made, and how they judge a frame."""
