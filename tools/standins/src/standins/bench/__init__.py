"""``./dev bench``: measurements, repeated and written down as tables. Nothing here passes or fails."""
