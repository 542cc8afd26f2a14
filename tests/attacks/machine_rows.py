"""x"""

ROWS = ()
