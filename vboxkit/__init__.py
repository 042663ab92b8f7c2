"""vboxkit: disposable VirtualBox machines for tests and scripts."""

__version__ = "0.1.0"
