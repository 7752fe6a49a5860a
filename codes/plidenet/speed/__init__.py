"""How fast networks are and how much memory they take: what scripts/benchmark_speed.py is made of."""
