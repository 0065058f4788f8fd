"""Flow runs that begin at once: forked off a process in which everything is imported already."""
