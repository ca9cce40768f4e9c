"""Where pictures come from: files, folders, built-in and downloaded data sets; patches; preprocessing."""
