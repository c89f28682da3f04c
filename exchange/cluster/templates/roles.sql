-- The roles of the exchange and their database. What stands here is what SCRAM keeps: no password can be read from it.
CREATE ROLE exchange_owner LOGIN PASSWORD '$owner_verifier';
CREATE ROLE exchange_app LOGIN PASSWORD '$app_verifier';
CREATE DATABASE exchange OWNER exchange_owner;
REVOKE ALL ON DATABASE exchange FROM PUBLIC;
REVOKE ALL ON DATABASE template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE exchange TO exchange_app;
