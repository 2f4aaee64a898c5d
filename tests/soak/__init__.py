"""The soak: hostile and honest functions together for a long time, and counts that must stay flat."""
