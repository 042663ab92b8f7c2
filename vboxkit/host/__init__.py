"""The host machine: what it has, what it lacks, and a VirtualBox for where there is none."""
