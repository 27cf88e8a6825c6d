"""Latency and throughput of a model on this machine, by stage and compared with the bare runtime."""
