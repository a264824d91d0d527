"""The `hf-select` command, one module a subcommand."""
