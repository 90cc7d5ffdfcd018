"""Where in an original picture each of its visual tokens lies, family by family."""
