"""Where jobs run: an executor takes jobs and yields events as they happen."""
