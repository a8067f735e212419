"""One file for each layout that pictures lie in: folders, lists, archives, shards, arrays, other libraries' files."""
