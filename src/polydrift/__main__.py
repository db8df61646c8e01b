"""`python -m polydrift`, the same as the `polydrift` command."""

from polydrift.cli import main

main()
