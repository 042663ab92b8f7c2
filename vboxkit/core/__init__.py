"""Mechanisms that know nothing of VirtualBox."""
