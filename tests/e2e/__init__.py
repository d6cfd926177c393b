"""Tests on a real cluster: what the acceptance lines of the project ask for, done and looked at."""
