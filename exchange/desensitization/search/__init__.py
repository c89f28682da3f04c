"""What a generalization must hold and what it costs, and how the best one is found."""
