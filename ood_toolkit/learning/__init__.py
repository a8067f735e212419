"""Learning: heads, towers and prompts trained on ID images; the seminar; the discovery of new classes."""
