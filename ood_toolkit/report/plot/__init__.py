"""Plots for papers: matplotlib axes of what a report holds, readable in grey and at the width of a column."""
