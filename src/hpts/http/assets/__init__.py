"""The files of the API page."""
