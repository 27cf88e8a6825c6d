"""Generators: image to image, latent, and diffusion."""
