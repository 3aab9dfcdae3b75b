"""A folder of a user's own images; its folders, if there are any, are classes."""
