"""What is told of a task as a whole: its timeline as a picture, and the report at its end."""
