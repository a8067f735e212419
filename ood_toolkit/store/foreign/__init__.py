"""Readers of files that others wrote: bounded in memory, running nothing, with every fault in one line of ours."""
