"""`python -m service.cli`: the command `gradbook` where no script of that name is installed."""

from service.cli import main

main()
