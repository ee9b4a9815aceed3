"""Mail that is kept in a folder when no mail server is named."""
