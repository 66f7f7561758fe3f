"""Is a harmonised table fit for use? Suites, validation, reports and review."""
