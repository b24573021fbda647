"""When things are due: pure functions of (elapsed, done), without a clock; randomness is passed in."""
