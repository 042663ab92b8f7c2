"""The object model: VirtualBox's own nouns, without the ``I``."""
