"""The figures we publish about reliability and security: one command each, sized for two cores and minutes."""
