"""Load clients: processes that submit tasks, wait for their results, and write a history."""
