"""
The pytest plugin: disposable virtual machines as fixtures.

`plugin` has the hooks, `options` what can be set, `fixtures` the fixtures; the other modules do
their work. Nothing of it loads more than pytest and the standard library until a test asks for a
machine.
"""
