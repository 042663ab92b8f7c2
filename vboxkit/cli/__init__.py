"""
The vboxkit command (the only user of click and rich).

Each subcommand is a module of its own, loaded when it is used; modules load rich, paramiko and
VirtualBox's own modules inside functions, so that ``vboxkit --help`` loads none of them.
"""
