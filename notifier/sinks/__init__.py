"""The doors out, one file each; the file's name is what a configuration calls its `type`."""
