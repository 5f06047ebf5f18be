"""Black-box tests of HPTS, written from the contract alone and run against a live server."""
