"""The dictionary in other forms: one file per target, all made from `Dictionary` alone."""
