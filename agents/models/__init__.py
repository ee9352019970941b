"""Language models behind one metered port."""
