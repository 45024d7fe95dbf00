"""The statements: what each kind does, and which kind a text is."""
