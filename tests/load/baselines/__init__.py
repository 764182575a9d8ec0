"""What we measure ourselves against, each as its own process, started for the run."""
