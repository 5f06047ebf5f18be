"""The commands of `hpts`, a module per subject; each adds its own to the parser."""
