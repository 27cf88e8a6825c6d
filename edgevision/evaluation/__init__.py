"""How a converted model is measured against its source."""
