"""The composition root: builds and supervises every part of the reference stack from one config."""
