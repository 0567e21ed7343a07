"""Running the code of feature repositories in child processes, which it may hang or kill as it likes."""
