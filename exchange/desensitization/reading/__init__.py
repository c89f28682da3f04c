"""Tables from outside, of any form, larger than memory, believed no further than they bear out."""
