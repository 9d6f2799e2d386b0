"""The parts of the one-machine stack that come from wheels, and what keeps them from outliving it."""
