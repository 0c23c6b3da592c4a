"""What an agent may look up while it answers: short texts with their sources, never a hidden label."""
