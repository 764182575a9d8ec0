"""The demo: three real instances of this project and charge points, all on one machine, playing sessions."""
