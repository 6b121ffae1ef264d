"""Other Redis and Valkey servers than the embedded one, alone, in a Cluster or watched by Sentinels, on loopback."""
