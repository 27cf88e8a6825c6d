"""A page that shows a running stream in a browser, for machines without a screen (extra ``serve``)."""
