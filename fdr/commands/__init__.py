"""The commands of fdr: one file each, a function that parses, calls and exits."""
