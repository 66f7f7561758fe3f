"""One module per command group of `marmor`; each parses, calls one library function, prints."""
