"""SQL, one statement a file, each with a header that says who calls it and which locks it takes."""
