"""Thresholds and ranges from good pictures: collecting them, judging them, finding what follows from them."""
