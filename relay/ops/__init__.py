"""For operators: health, metrics, logs. No user id, token or rest rule, and no prefix of one, ever gets here."""
