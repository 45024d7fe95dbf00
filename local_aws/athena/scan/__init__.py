"""Tables as files: which objects a query reads, and how each format becomes columns."""
