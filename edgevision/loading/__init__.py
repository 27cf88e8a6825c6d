"""From a bundle or a bare file to a model that is ready to be called."""
