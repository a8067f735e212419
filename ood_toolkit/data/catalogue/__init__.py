"""The data sets that are known by name, by family, each with sourced facts; three are drawn or bundled."""
