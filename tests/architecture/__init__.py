"""The shape of the repository: its words, files, prose and documents."""
