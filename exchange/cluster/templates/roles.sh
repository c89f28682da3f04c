#!/bin/sh
# Called once by Patroni with the address of the new cluster; the password comes from its own pgpass.
exec $bin_dir/psql -X -q -v ON_ERROR_STOP=1 -d "$$1" -f $config/roles.sql
