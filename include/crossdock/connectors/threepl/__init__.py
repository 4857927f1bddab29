"""Third-party warehouses, by the files they send."""
