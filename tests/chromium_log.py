"""What headless Chromium logs, for the tests that open pages in it."""

from __future__ import annotations

#: Requests of the page, by the number of `blink_resource_loader`: the browser makes requests of its own.
REQUEST_OF_THE_PAGE = r'"traffic_annotation":101845102,"url":"((?!file:|data:)[^"]*)"'
