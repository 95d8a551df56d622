"""From files, tables and names to a Table: which pictures there are, their labels, and which of them validate."""
