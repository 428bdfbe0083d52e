"""Every classifier is one file here and one line in a dict."""
