"""What authors import. Needs no Django and no database."""
