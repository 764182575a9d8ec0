"""The Configuration Modules, alike on every side: versions, credentials, hubclientinfo (Receiver)."""
