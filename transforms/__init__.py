"""The local half: a centre's own files become a harmonised, immutable release."""
