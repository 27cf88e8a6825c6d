"""Metadata conventions that several formats share: Ultralytics' and OpenVINO Model API's."""
