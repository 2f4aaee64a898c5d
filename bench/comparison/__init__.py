"""Side-by-side benchmarks: arms measured in turn, in one session, and compared block by block."""
