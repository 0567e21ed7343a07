"""What a person sees and types: the screen of `up`, settings as flags, examples of the help."""
