"""The AI agents: classes a profile names, and the cast that makes them."""
