"""What a column is: by its values, by its header, or by both."""
