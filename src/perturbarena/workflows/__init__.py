"""Recipes that need several rooms, one file each."""
