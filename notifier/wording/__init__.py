"""The words that a configuration gives instead of ours: templates, tried before they are trusted, and fenced in."""
