"""What is measured: quantities, qualities, points, decoding, and the collectors that read them."""
