"""Medusa 2 as a storefront."""
