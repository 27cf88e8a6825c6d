"""EdgeVision's backend `cuda`."""
