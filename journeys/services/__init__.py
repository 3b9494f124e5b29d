"""The only writers: each refuses first, then moves its row by compare-and-swap, then records."""
