"""Location, EVSE and Connector as three tables, the way Django is usually written."""
