"""How pages write dates; Django looks for `formats.py` of the language in here."""
