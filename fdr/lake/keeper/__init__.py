"""The process keeper of the embedded lake: it runs in the lake's environment, not in fdr's."""
