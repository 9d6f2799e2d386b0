"""What Holdfast is made of: who made it, under which licence, as which exact bytes."""
