"""A synthetic consortium: invented patients, exported by five centres in five ways."""
