"""Malformed requests, from a seed, at every operation of the OpenAPI document: `python -m tests.fuzz`, `make fuzz`."""
