"""What a client's and a worker's connection to main have in common."""
