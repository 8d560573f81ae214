"""The command line: ``main`` declares the verbs, a module each does the work."""
