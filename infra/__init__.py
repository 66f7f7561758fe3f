"""The `marmor` command, the launchers of a centre and of the consortium, and the demo."""
