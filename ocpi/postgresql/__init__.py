"""The database backend: Django's for PostgreSQL, see `base`."""
