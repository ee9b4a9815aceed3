"""How a run is executed: replay, delivery, attempts, effects. Knows no database and no Django."""
