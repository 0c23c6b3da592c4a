"""What every run of a model shares: the folder, requests and their faults, progress, limits on prompt tokens."""
