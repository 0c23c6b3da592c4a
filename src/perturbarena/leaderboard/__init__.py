"""The leaderboard: a challenge's store, the operations on it, the pipeline that judges, and what the board shows."""
