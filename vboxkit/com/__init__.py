"""The boundary to VirtualBox: nothing above it imports vboxapi."""
