"""The leaderboard: a challenge's store, the operations on it, the pipeline that judges, what the board shows."""
