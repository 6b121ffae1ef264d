"""``./dev demo``: one whole call on real parts, shown live and then proved."""
